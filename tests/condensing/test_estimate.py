"""Estimates of time and memory, with a fixed device rate."""

import json
from typing import get_args

import pytest
import torch

from hmnpack.condensing import estimate as module
from hmnpack.condensing.cost import costs_of
from hmnpack.condensing.estimate import BFLOAT16_FACTOR, EFFICIENCY, estimate
from hmnpack.condensing.stage_cost import Run, Work
from hmnpack.container.budget import plan
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.container import ImageShape
from hmnpack.settings import recipe_of

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SPEC = plan(1, 10, ImageShape(channels=3, height=32, width=32))


@pytest.fixture(autouse=True)
def rates(monkeypatch):
    """Simulate a device with 1e3 operations per second, or 1e4 at precision "auto"."""

    def measured(device, precisions):
        return {name: 1e4 if name == "auto" else 1e3 for name in precisions}

    monkeypatch.setattr(module, "measured_rates", measured)


def test_time_is_work_over_rate_and_efficiency():
    document = recipe_of("paper").model_dump()
    document["gradient"]["precision"] = document["gradient"]["train"]["precision"] = "auto"
    document["prune"]["strategy"] = "none"
    config = CompressConfig.model_validate(document)
    found = estimate(config, SPEC, 50_000, CPU, ipc=1)
    warmup, gradient = costs_of(Run(config, SPEC, 45_000, gradient_classes=1))
    assert [stage.stage for stage in found.stages] == ["warm-up", "gradient"]
    assert found.stages[0].seconds == warmup.flops / 1e3 / EFFICIENCY["decoding"]
    by_work = {part.work: part.flops for part in gradient.parts}
    expected = (
        by_work["gradients"] / 1e4 / EFFICIENCY["gradients"]
        + by_work["training"] / 1e4 / EFFICIENCY["training"]
        + by_work["decoding"] / 1e3 / EFFICIENCY["decoding"]
    )
    assert found.stages[1].seconds == pytest.approx(expected)


def test_bfloat16_speeds_up_only_products_on_a_cpu(monkeypatch):
    config = recipe_of("fast")
    exact = estimate(config, SPEC, 50_000, CPU, ipc=1)
    monkeypatch.setattr("hmnpack.runtime.devices.multiplies_bfloat16", lambda device: True)
    rough = estimate(config, SPEC, 50_000, CPU, ipc=1)
    assert rough.stages[0].stage == "pool"
    assert rough.stages[0].seconds == pytest.approx(exact.stages[0].seconds / BFLOAT16_FACTOR)
    assert rough.stages[1].stage == "warm-up"
    assert rough.stages[1].seconds == exact.stages[1].seconds


@pytest.mark.parametrize(("ranks", "share"), [(1, 1), (2, 0.5), (3, 0.4), (10, 0.1)])
def test_ranks_share_matching_but_not_training(ranks, share):
    config = recipe_of("paper")
    alone, found = (estimate(config, SPEC, 50_000, CPU, count, ipc=1) for count in (1, ranks))
    _, gradient = costs_of(Run(config, SPEC, 45_000, gradient_classes=1))
    (training,) = [part for part in gradient.parts if part.work == "training"]
    trained = training.flops / 1e4 / EFFICIENCY["training"]  # at precision "auto"
    matched = alone.stages[1].seconds - trained
    assert found.stages[1].seconds == pytest.approx(trained + share * matched)
    assert found.stages[0].seconds == alone.stages[0].seconds
    assert found.flops == alone.flops


def pruned(**changes):
    document = recipe_of("fast").model_dump()
    document["prune"] |= {"strategy": "double-end"} | changes
    return CompressConfig.model_validate(document)


def test_pruning_includes_the_images_over_budget():
    """93 images per class are condensed instead of 85; the validation split selects beta."""
    over = plan(1, 10, SPEC.image, over_budget=True)
    expected = costs_of(
        Run(
            pruned(),
            over,
            45_000,
            keep=85,
            held_out=5_000,
            gradient_classes=1,
            feature_classes=1,
            trained_at_once=1,
        )
    )
    found = estimate(pruned(), SPEC, 50_000, CPU, ipc=1).stages
    assert [stage.stage for stage in found][-1] == "pruning"
    assert [stage.flops for stage in found] == [stage.flops for stage in expected]
    assert found[-1].bytes == expected[-1].bytes


@pytest.mark.parametrize(
    ("ranks", "margins", "betas"), [(1, 3, 8), (2, 2, 4), (3, 1, 3), (8, 1, 1), (64, 1, 1)]
)
def test_ranks_share_the_trainings_of_pruning(ranks, margins, betas):
    """`margins` of 3 and `betas` of 8 trainings are done by the rank with the most."""
    found = estimate(pruned(), SPEC, 50_000, CPU, ranks, ipc=1).stages[-1]
    over = plan(1, 10, SPEC.image, over_budget=True)
    *_, stage = costs_of(Run(pruned(), over, 45_000, keep=85, held_out=5_000))
    of_margins, of_betas, tests = (part.flops / 1e4 for part in stage.parts)  # at "auto"
    expected = (of_margins * margins / 3 + of_betas * betas / 8) / EFFICIENCY["training"]
    expected += tests * betas / 8 / EFFICIENCY["features"]
    assert found.seconds == pytest.approx(expected)
    assert found.flops == stage.flops


def test_totals_are_sums_except_peak_memory():
    found = estimate(recipe_of("fast"), SPEC, 50_000, CPU, ipc=1)
    assert found.flops == sum(stage.flops for stage in found.stages)
    assert found.seconds == sum(stage.seconds for stage in found.stages)
    assert found.bytes == max(stage.bytes for stage in found.stages)


def test_every_kind_of_work_has_an_efficiency():
    assert set(EFFICIENCY) == set(get_args(Work))
    assert all(0 < efficiency <= 1 for efficiency in EFFICIENCY.values())
    assert {part.work for stage in all_stages() for part in stage.parts} == set(EFFICIENCY)


def all_stages():
    for name in ("fast", "paper"):
        yield from costs_of(Run(recipe_of(name), SPEC, 1000))


def test_chunks_are_larger_on_a_gpu_than_on_a_cpu():
    for name in ("fast", "paper"):
        few, all_ = (
            estimate(recipe_of(name), SPEC, 50_000, device, ipc=1) for device in (CPU, GPU)
        )
        assert few.bytes < all_.bytes
        assert few.flops == all_.flops


def test_document_is_valid_json():
    found = estimate(recipe_of("fast"), SPEC, 50_000, CPU, ipc=1)
    document = json.loads(json.dumps(found.document()))
    assert document["flops"] == found.flops
    assert document["stages"][0]["stage"] == "pool"


@pytest.mark.parametrize(
    ("recipe", "part", "name", "stage"),
    [
        ("paper", "gradient", "torchvision:resnet18", "gradient"),
        ("paper", "prune", "vgg16", "pruning"),
        ("fast", "pool", "resnet-ap", "matching"),
    ],
)
def test_larger_network_costs_more(recipe, part, name, stage):
    found = []
    for network in ("convnet", name):
        document = recipe_of(recipe).model_dump()
        document[part]["network"] |= {"name": network, "width": 32}
        config = CompressConfig.model_validate(document)
        run = estimate(config, SPEC, 50_000, CPU, ipc=1)
        found.append({each.stage: each for each in run.stages}[stage])
    assert found[1].flops > 3 * found[0].flops
    assert found[1].seconds > 3 * found[0].seconds
    assert found[1].bytes > found[0].bytes
