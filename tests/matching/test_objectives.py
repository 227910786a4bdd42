"""Feature matching with each distance, chunk size and number of ranks, against a reference."""

import copy
import itertools
import threading

import pytest
import torch
from torch.nn import functional as F

import hmnpack
from hmnpack.augment import apply, draw, normalise
from hmnpack.condensing.request import RunOptions
from hmnpack.container import new_container
from hmnpack.errors import BadSettings, Paused
from hmnpack.matching import OBJECTIVES, Match, RealData, load_or_train_pool
from hmnpack.matching.characteristic import CharacteristicDistance, unit_of
from hmnpack.matching.distances import class_features
from hmnpack.matching.footprint import FREQUENCIES
from hmnpack.matching.means import MeanDistance
from hmnpack.matching.sampling import ClassSampler, choose_instances
from hmnpack.runtime.ranks import World
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import ContainerConfig, MatchConfig
from hmnpack.schema.container import ImageShape, ImagesSpec
from hmnpack.settings import recipe_of, recorded_settings
from hmnpack.sources import Source, SourceOptions
from hmnpack.sources.types import split_of

SPEC = ImagesSpec(classes=3, instances=4, image=ImageShape(channels=3, height=16, width=16))
CASES = {
    "features": {},
    "characteristic": {"objective": "characteristic"},
    "characteristic, without cross-entropy": {"objective": "characteristic", "classification": 0},
}


def settings(name, **changes):
    sizes = {"steps": 1, "real_batch": 5, "synthetic_batch": 3, "precision": "float32"}
    return MatchConfig.model_validate(sizes | CASES[name] | changes)


def container():
    return new_container(SPEC, ContainerConfig(), stream(0, "container"))


def objective(match):
    return OBJECTIVES[match.config.objective](match)


def distances(config, match, step, sizes):
    """Yield one distance per block, with frequencies drawn in the order of the blocks."""
    generator = stream(match.seed, "distance", step)
    for size in sizes:
        if config.objective == "characteristic":
            frequencies = torch.randn(FREQUENCIES, size, generator=generator)
            yield CharacteristicDistance(frequencies)
        else:
            yield lambda real, ours, unit: MeanDistance()(real, ours)


def literal(match, images, step):
    """Return the reference loss, computed class by class."""
    config, data, seed = match.config, match.data, match.seed
    generator = stream(seed, "match", step)
    index = int(torch.randint(len(match.pool), (), generator=generator))
    part = float(torch.rand((), generator=generator))
    draws = draw(config.augment, data.classes, generator)
    real = ClassSampler(data.labels, data.classes).draw(config.real_batch, generator)
    chosen = choose_instances(SPEC, config.synthetic_batch, generator)
    network = match.pool.between(index, part)
    cells = 4 if config.objective == "characteristic" else 0

    def flat(block):
        return pooled_literally(block, cells).flatten(1)

    ours, theirs, error = [], [], 0.0
    for label in range(data.classes):
        own = draws.index(torch.tensor([label]))
        mine = apply(normalise(images[chosen[label]], data.normalisation), own)
        pixels = data.images[real[label]].float() / 255
        others = apply(normalise(pixels, data.normalisation), own)
        blocks = network.features(mine), network.features(others)
        ours.append([flat(block) for block in blocks[0]])
        theirs.append([flat(block) for block in blocks[1]])
        error = error + F.cross_entropy(network(mine), torch.full((len(mine),), label))
    loss = config.classification * (1 - part) * error / data.classes
    sizes = [block.shape[1] for block in ours[0]]
    for block, distance in enumerate(distances(config, match, step, sizes)):
        centre = sum(theirs[label][block].mean(0) for label in range(3)) / 3
        away, around = 0.0, 0.0
        for label in range(data.classes):
            features = theirs[label][block][None]
            unit = unit_of(features)
            away = away + distance(features, ours[label][block][None], unit)
            mean = features.mean(1, keepdim=True)
            around = around + distance(mean, centre[None, None], unit)
        loss = loss + away / around
    return loss


def pooled_literally(block, cells):
    """Average the smallest equal cells that give at most ``cells`` per side, clipped at edges."""
    side = block.shape[2]
    if not cells or side <= cells:
        return block
    size = next(size for size in range(1, side + 1) if -(-side // size) <= cells)
    rows = [
        torch.stack([c.mean((2, 3)) for c in row.split(size, 3)], 2) for row in block.split(size, 2)
    ]
    return torch.stack(rows, 2)


@pytest.fixture
def match(real, pool_config, tmp_path):
    """Return a function that creates an objective's inputs from its settings."""
    return lambda config: Match(real, load_or_train_pool(real, pool_config, 0, tmp_path), config, 5)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("chunk", [1, 6 * 256, 1000 * 256])
@pytest.mark.slow
def test_loss_and_gradient_match_the_reference(match, monkeypatch, name, chunk):
    monkeypatch.setattr("hmnpack.matching.footprint.CPU_CHUNK", chunk)
    ours, theirs, inputs = container(), container(), match(settings(name))
    for step in range(2):
        loss = objective(inputs).loss(ours, step)
        expected = literal(inputs, theirs.expand(), step)
        torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
        loss.backward()
        expected.backward()
    torch.testing.assert_close(ours.pixels.grad, theirs.pixels.grad, atol=1e-5, rtol=1e-3)
    assert ours.pixels.grad.abs().sum() > 0


def test_loss_of_the_real_images_is_near_zero(real, match):
    twelve = [int((real.labels == label).nonzero()[i]) for label in range(3) for i in range(4)]
    labels = torch.arange(3).repeat_interleave(4)
    few = RealData(real.images[twelve], labels, 3, real.normalisation, "few")
    config = settings(
        "characteristic", real_batch=400, synthetic_batch=4, classification=0, augment=()
    )
    start, inputs = container(), match(config)
    inputs = Match(few, inputs.pool, config, 0)
    elsewhere = float(objective(inputs).loss(start, 0).detach())
    with torch.no_grad():
        start.pixels.copy_(few.images.float() / 255)
    here = float(objective(inputs).loss(start, 0).detach())
    assert here < 0.15 * elsewhere  # the rest is the sampling error of 400 draws from 4 images
    # With one image per class there is no sampling error: only the minimal distance remains.
    alike = RealData(few.images[::4], labels[::4], 3, real.normalisation, "alike")
    inputs = Match(alike, inputs.pool, config, 0)
    with torch.no_grad():
        start.pixels.copy_(alike.images[labels].float() / 255)
    assert float(objective(inputs).loss(start, 0).detach()) < 1e-4


class Pair(World):
    """One of two ranks in threads, which gather tensors through a shared list."""

    def __init__(self, rank, values, barrier):
        super().__init__(rank, 2)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "barrier", barrier)

    def collect(self, tensors, count):
        tensors, own = list(tensors), self.share(count)
        self.values[self.rank] = [tensor[own.start : own.stop].clone() for tensor in tensors]
        self.barrier.wait()
        for tensor, parts in zip(tensors, zip(*self.values, strict=True), strict=True):
            tensor.copy_(torch.cat(parts))
        self.barrier.wait()


@pytest.mark.parametrize("name", ["features", "characteristic"])
def test_losses_of_two_ranks_sum_to_that_of_one(match, name):
    alone, inputs = container(), match(settings(name))
    expected = objective(inputs).loss(alone, 0)
    expected.backward()
    values, barrier, found = [None, None], threading.Barrier(2, timeout=20), {}

    def run(rank):
        ours, pool = container(), copy.deepcopy(inputs.pool)
        world = Pair(rank, values, barrier)
        loss = objective(Match(inputs.data, pool, inputs.config, 5, world)).loss(ours, 0)
        loss.backward()
        found[rank] = loss.detach(), ours.pixels.grad

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.testing.assert_close(found[0][0] + found[1][0], expected.detach())
    gradient = found[0][1] + found[1][1]
    torch.testing.assert_close(gradient, alone.pixels.grad, atol=1e-6, rtol=1e-4)
    assert not (found[0][1] * found[1][1]).any()


def test_bfloat16_changes_little(match):
    for name in ("features", "characteristic"):
        low, high = (
            objective(match(settings(name, precision=precision))).loss(container(), 0)
            for precision in ("bfloat16", "float32")
        )
        assert low.dtype == torch.float32
        torch.testing.assert_close(low, high, rtol=0.05, atol=0)


@pytest.mark.parametrize(("side", "cells"), [(16, 4), (16, 5), (7, 4), (5, 4), (4, 4), (3, 0)])
def test_class_features_average_grid_cells(side, cells):
    block = torch.randn(6, 2, side, side, generator=stream(0, "block"))
    expected = pooled_literally(block, cells)
    found = class_features(block, 3, cells)
    assert found.shape[:2] == (3, 2)
    assert cells == 0 or found.shape[2] <= 2 * cells**2
    torch.testing.assert_close(found, expected.flatten(1).unflatten(0, (3, 2)))


def test_paused_and_resumed_run_gives_the_same_bytes(tmp_path):
    labels = torch.arange(3).repeat_interleave(20)
    noise = torch.randint(0, 120, (60, 1, 16, 16), generator=stream(0, "pixels"))
    split = split_of((noise + 60 * labels[:, None, None, None]).to(torch.uint8), labels)
    smoke = recipe_of("smoke")
    match = smoke.match.model_copy(update={"objective": "characteristic"})
    config = smoke.model_copy(update={"match": match})

    def run(output=None, **options):
        return hmnpack.compress(
            Source("x", ("a", "b", "c"), split, None),
            8,
            config=config,
            output=output,
            options=RunOptions(device="cpu", **options),
            source_options=SourceOptions(cache_dir=tmp_path / "cache"),
        )

    whole = run().to_bytes()
    assert run(tmp_path / "x.hmn").to_bytes() == whole
    assert recorded_settings(hmnpack.inspect(tmp_path / "x.hmn")) == config
    output, pauses = tmp_path / "y.hmn", 0
    while not output.exists() and pauses < 30:
        asked = itertools.count(1)
        try:
            run(output, resume=True, should_pause=lambda asked=asked: next(asked) >= 2)
        except Paused:
            pauses += 1
    assert pauses > 2
    assert output.read_bytes() == whole


def test_objectives_are_registered_by_name(match):
    assert list(OBJECTIVES) == ["characteristic", "features"]
    config = settings("characteristic")
    without = Match(match(config).data, None, config, 5)
    with pytest.raises(BadSettings, match="characteristic needs a pool"):
        objective(without)
