"""Early stopping: the best weights are kept, patience ends a stage, a pause changes nothing."""

import itertools
import math

import pytest
import torch

import hmnpack
from hmnpack.compressor import RunOptions
from hmnpack.container import new_container
from hmnpack.errors import BadSettings, Paused
from hmnpack.probe import Probe
from hmnpack.recipes import recipe_of
from hmnpack.runtime import stream
from hmnpack.schema.config import ContainerConfig
from hmnpack.schema.stopping import StoppingConfig
from hmnpack.sources import Source, SourceOptions
from hmnpack.sources.types import split_of
from hmnpack.stopping import BestWeights

LABELS = torch.arange(3).repeat_interleave(20)


@pytest.fixture
def container(hmn):
    return new_container(hmn(), ContainerConfig(), stream(0, "container"))


@pytest.mark.parametrize(
    ("accuracies", "best", "ends_at"),
    [
        ([10, 20, 30, 40], 4, None),
        ([40, 30, 20, 10], 1, 3),
        ([10, 30, 20, 30, 40], 2, 4),  # as good is no better
        ([10, 30, 20, 40, 20], 4, None),
        ([math.nan, 10, math.nan, math.nan], 2, 4),
        ([math.nan, math.nan], None, 2),
    ],
)
def test_the_best_is_kept_until_patience_ends(container, accuracies, best, ends_at):
    kept, ended = BestWeights(container, StoppingConfig(probes=9, patience=2)), None
    for number, accuracy in enumerate(accuracies, 1):
        with torch.no_grad():
            for parameter in container.parameters():
                parameter.fill_(number)
        kept.judged(accuracy)
        if kept.ended:
            ended = number
            break
    assert ended == ends_at
    again = BestWeights(container, StoppingConfig(probes=9, patience=2))
    again.restore(kept.state())
    assert (again.ended, again.accuracy) == (kept.ended, kept.accuracy)
    again.take()
    expected = best or len(accuracies)
    assert all(bool((parameter == expected).all()) for parameter in container.parameters())


@pytest.fixture
def run(tmp_path):
    """The function that packs stripes in 12 steps of matching, judged after each by numbers."""
    noise = torch.randint(0, 120, (60, 1, 16, 16), generator=stream(0, "pixels"))
    images = (noise + 60 * LABELS[:, None, None, None]).to(torch.uint8)
    source = Source("stripes", ("a", "b", "c"), split_of(images, LABELS), None)

    def run(stopping, output=None, listener=lambda *a, **f: None, steps=12, **options):
        smoke = recipe_of("smoke")
        match = smoke.match.model_copy(update={"steps": steps, "stopping": stopping})
        return hmnpack.compress(
            source,
            8,
            config=smoke.model_copy(update={"match": match}),
            output=output,
            options=RunOptions(device="cpu", **options),
            source_options=SourceOptions(cache_dir=tmp_path / "cache"),
            listener=listener,
        )

    return run


@pytest.fixture
def judged(monkeypatch):
    """The weights that quick networks were asked about; they find the numbers in turn."""

    def judged(accuracies):
        seen = []

        def accuracy(self, container):
            seen.append({k: v.clone() for k, v in container.stored_tensors().items()})
            return accuracies[len(seen) - 1]

        monkeypatch.setattr(Probe, "__call__", accuracy)
        return seen

    return judged


def same(bundle, weights):
    return all(torch.equal(bundle.tensors[name], value) for name, value in weights.items())


def test_a_run_ends_with_the_best_where_no_better_comes(run, judged):
    seen, heard = judged([10, 30, 20, 25, 99, 99]), []

    def listener(stage, done, total, **facts):
        heard.extend([(done, facts["accuracy"])] if "accuracy" in facts else [])

    bundle = run(StoppingConfig(probes=6, patience=2), listener=listener)
    assert heard == [(2, 10), (4, 30), (6, 20), (8, 25)]
    assert same(bundle, seen[1])
    assert not same(bundle, seen[3])
    assert bundle.manifest.config.match.stopping.probes == 6


def test_paused_at_every_step_it_ends_with_the_same_bytes(run, judged, tmp_path):
    accuracies, stopping = [10, 30, 20, 25], StoppingConfig(probes=6, patience=2)
    judged(accuracies)
    whole = run(stopping).to_bytes()
    seen, output = judged(accuracies), tmp_path / "x.hmn"
    for _ in range(30):
        asked = itertools.count(1)
        try:
            run(stopping, output, resume=True, should_pause=lambda a=asked: next(a) >= 1)
            break
        except Paused:
            pass
    assert len(seen) == 4
    assert output.read_bytes() == whole


def test_what_is_only_watched_does_not_end_it(run, judged):
    judged([30] + [10] * 12)
    watched = run(StoppingConfig(), probes=12)
    assert watched.to_bytes() == run(StoppingConfig()).to_bytes()


def test_the_file_has_the_weights_that_real_quick_networks_found_best(run, monkeypatch):
    judged, probe = [], Probe.__call__

    def seen(self, container):
        judged.append((probe(self, container), container.instance.detach().clone()))
        return judged[-1][0]

    monkeypatch.setattr(Probe, "__call__", seen)
    bundle = run(StoppingConfig(probes=3, patience=3), steps=3)
    best = max(accuracy for accuracy, _ in judged)
    weights = next(weights for accuracy, weights in judged if accuracy == best)
    assert len(judged) == 3
    assert torch.equal(bundle.tensors["memory.instance"], weights)
    assert not torch.equal(judged[0][1], judged[1][1])


def test_nobody_can_judge_without_held_out_images(run):
    stopping = StoppingConfig(probes=2)
    smoke = recipe_of("smoke")
    config = smoke.model_copy(
        update={"holdout": 0.0, "match": smoke.match.model_copy(update={"stopping": stopping})}
    )
    images = torch.zeros(60, 1, 16, 16, dtype=torch.uint8)
    source = Source("black", ("a", "b", "c"), split_of(images, LABELS), None)
    with pytest.raises(BadSettings, match="none are held out; give holdout a larger part"):
        hmnpack.compress(source, 8, config=config, options=RunOptions(device="cpu"))
