"""`plan`, and the plan that `compress` reports before its first step."""

import pytest
import torch

import hmnpack
from hmnpack.condensing.estimate import estimate
from hmnpack.condensing.request import RunOptions
from hmnpack.container.budget import budget_of
from hmnpack.errors import BadData, BadSettings, BudgetTooSmall
from hmnpack.runtime.seeds import stream
from hmnpack.settings import recipe_of
from hmnpack.sources import SourceOptions, tensor_source


@pytest.fixture(autouse=True)
def rates(monkeypatch):
    """Simulate a device with 1e12 operations per second; return the list of measurements."""
    measured = []

    def measured_rates(device, precisions):
        measured.append(device)
        return dict.fromkeys(precisions, 1e12)

    monkeypatch.setattr("hmnpack.condensing.estimate.measured_rates", measured_rates)
    return measured


@pytest.fixture
def source():
    labels = torch.arange(40) % 2
    images = torch.randint(256, (40, 1, 16, 16), generator=stream(0, "pixels"), dtype=torch.uint8)
    return tensor_source((images, labels), name="pets")


def test_plan_follows_the_data_and_the_settings(source):
    found = hmnpack.plan(source, 8, recipe="paper", settings={"seed": 5}, device="cpu")
    assert found.source is source
    assert (found.config.recipe, found.config.seed) == ("paper", 5)
    assert found.config.gradient.distance == "l1"  # the recipe's value for grey images
    assert (found.spec.classes, found.spec.image) == (2, source.image)
    assert found.budget == budget_of(8, 2, source.image)
    assert found.spec.ledger().floats <= found.budget.floats
    assert (found.device, found.ranks) == (torch.device("cpu"), 1)


def test_plan_measures_the_device_once_on_first_access(source, rates):
    found = hmnpack.plan(source, 8, recipe="smoke", device="cpu")
    assert rates == []
    expected = estimate(found.config, found.spec, 40, found.device, ipc=8)
    assert found.cost == found.cost == expected
    assert len(rates) == 2  # one by this test, one by the plan


@pytest.mark.parametrize("data", ["./missing", "cifra10"])
def test_plan_checks_settings_before_opening_data(data):
    with pytest.raises(BadSettings, match=r"did you mean match\.steps"):
        hmnpack.plan(data, 8, settings={"match.stesp": 3})
    with pytest.raises(BadSettings, match="unknown recipe 'papre'"):
        hmnpack.plan(data, 8, recipe="papre")
    with pytest.raises(BadSettings, match="two sets of settings"):
        hmnpack.plan(data, 8, recipe="fast", config=recipe_of("smoke"))


def test_plan_rejects_invalid_data_and_settings(source):
    images, labels = source.train.images, torch.zeros_like(source.train.labels)
    with pytest.raises(BadData, match="one class"):
        hmnpack.plan(tensor_source((images, labels), name="one"), 8)
    with pytest.raises(BudgetTooSmall):
        hmnpack.plan(tensor_source((images[..., :8, :8], source.train.labels), name="tiny"), 1)
    with pytest.raises(BadSettings, match="smaller depth"):
        hmnpack.plan(source, 8, recipe="smoke", settings={"pool.network.depth": 9})


def test_compress_calls_on_plan_once_before_the_first_step(source, tmp_path):
    given = {"recipe": "smoke", "settings": {"match.steps": 2, "seed": 3}}
    events = []
    bundle = hmnpack.compress(
        source,
        8,
        **given,
        options=RunOptions(device="cpu"),
        source_options=SourceOptions(cache_dir=tmp_path),
        listener=lambda stage, *_, **__: events.append(stage),
        on_plan=events.append,
    )
    plan, *stages = events
    assert plan == hmnpack.plan(source, 8, **given, device="cpu")
    assert stages
    assert all(isinstance(stage, str) for stage in stages)
    assert bundle.manifest.container == plan.spec
    assert bundle.manifest.budget == plan.budget


@pytest.mark.parametrize("ipc", [0, -1])
@pytest.mark.parametrize("recipe", ["fast", "dc", "mtt"])
def test_plan_rejects_a_budget_below_one(source, recipe, ipc):
    with pytest.raises(BadSettings, match="ipc must be an integer from 1"):
        hmnpack.plan(source, ipc, recipe=recipe)


def test_compress_chooses_its_device_once(source, monkeypatch):
    """Under torchrun the chosen device is one accelerator, which only ``cuda`` may stand for."""
    chosen = []

    def choose(name):
        chosen.append(name)
        return torch.device("cpu")

    def stop(*_):
        raise StopIteration

    for module in ("run", "plan"):
        monkeypatch.setattr(f"hmnpack.condensing.{module}.choose_device", choose)
    with pytest.raises(StopIteration):
        hmnpack.compress(source, 8, recipe="smoke", options=RunOptions(device="cuda"), on_plan=stop)
    assert chosen == ["cuda"]


@pytest.mark.parametrize(("rank", "calls"), [(0, 1), (1, 0)])
def test_compress_calls_on_plan_on_rank_0_only(source, monkeypatch, rank, calls):
    """The run is stopped after the plan, before the ranks start to work."""
    import contextlib

    from hmnpack.runtime.ranks import World

    @contextlib.contextmanager
    def joined(device):
        world = World(rank, 2)
        monkeypatch.setattr(World, "leader_first", lambda self: contextlib.nullcontext())
        yield world

    def stop(*_):
        raise StopIteration

    monkeypatch.setattr("hmnpack.condensing.run.joined", joined)
    monkeypatch.setattr("hmnpack.condensing.plan.joined", joined)
    monkeypatch.setattr("hmnpack.condensing.run._condensed", stop)
    plans = []
    with pytest.raises(StopIteration):
        hmnpack.compress(source, 8, recipe="smoke", on_plan=plans.append)
    assert len(plans) == calls
    assert all(plan.ranks == 2 for plan in plans)
