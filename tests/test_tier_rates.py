"""Learning rates by tier: against plain Adam tier by tier, at their default, in files, resumed."""

import itertools
import json

import pytest
import torch
from pydantic import ValidationError

import hmnpack
from hmnpack.adam import ContainerAdam
from hmnpack.bundle import read
from hmnpack.cli.settings import CompressSettings
from hmnpack.compressor import RunOptions
from hmnpack.container import new_container
from hmnpack.errors import BadSettings, Paused
from hmnpack.ranks import ALONE
from hmnpack.recipes import recipe_of
from hmnpack.runtime import stream
from hmnpack.schema.config import ContainerConfig, MatchConfig
from hmnpack.schema.tiers import TierRates
from hmnpack.sources import Source, SourceOptions
from hmnpack.sources.types import split_of

RATES = TierRates(dataset_rate=3.0, class_rate=0.5, instance_rate=2.0, decoder_rate=0.25)
HMN_TIERS = {
    "dataset": "dataset",
    "classwise": "class",
    "instance": "instance",
    "extractor_weight": "decoder",
    "extractor_bias": "decoder",
    "weights.0": "decoder",
    "weights.1": "decoder",
    "biases.0": "decoder",
    "biases.1": "decoder",
    "norms.0.scale": "decoder",
    "norms.0.shift": "decoder",
}


@pytest.fixture
def container(hmn):
    def container():
        made = new_container(hmn(), ContainerConfig(), stream(0, "container"))
        made.freeze()
        return made

    return container


def loss_of(container, classes, step):
    images = container.expand().unflatten(0, (2, -1))[list(classes)]
    return (images - 0.1 * step).square().sum()


def values_of(container):
    return {name: value.detach().clone() for name, value in container.named_parameters()}


def assert_equal(ours, theirs):
    for name, value in values_of(theirs).items():
        torch.testing.assert_close(values_of(ours)[name], value, rtol=0, atol=0)


def taken(container, rates, cut=(range(2),), steps=3):
    """Take steps of a rate of 0.03, each on all classes at once or one block after another."""
    adam = ContainerAdam(container, (0.9, 0.99), cut, ALONE, rates)
    for step in range(steps):
        adam.set_rate(0.03)
        for block, classes in enumerate(cut):
            adam.step(loss_of(container, classes, step), block)
    return adam


def test_every_parameter_has_a_tier(container, images):
    made = container()
    assert {name: made.tier_of(name) for name, _ in made.named_parameters()} == HMN_TIERS
    plain = new_container(images(), ContainerConfig(), stream(0, "container"))
    assert [plain.tier_of(name) for name, _ in plain.named_parameters()] == ["instance"]
    for each in (made, plain):
        assert each.memories.keys() <= dict(each.named_parameters()).keys()


def test_each_tier_has_adam_at_a_rate_of_its_own(container):
    ours, theirs = container(), container()
    taken(ours, RATES)
    factors = {"dataset": 3.0, "class": 0.5, "instance": 2.0, "decoder": 0.25}
    optimisers = [
        torch.optim.Adam([parameter], 0.03 * factors[HMN_TIERS[name]], (0.9, 0.99))
        for name, parameter in theirs.named_parameters()
    ]
    for step in range(3):
        theirs.zero_grad()
        loss_of(theirs, range(2), step).backward()
        for optimiser in optimisers:
            optimiser.step()
    assert_equal(ours, theirs)


def test_adams_first_step_is_the_rate_by_hand(container):
    """Its mean gradient over the root of its mean square is the gradient's sign, but for 1e-8."""
    made = container()
    before = values_of(made)
    taken(made, RATES, steps=1)
    factors = {"dataset": 3.0, "class": 0.5, "instance": 2.0, "decoder": 0.25}
    for name, value in values_of(made).items():
        moved = float((value - before[name]).abs().max())
        assert moved == pytest.approx(0.03 * factors[HMN_TIERS[name]], rel=1e-3), name


def test_factors_of_one_change_no_bit(container):
    ours, theirs = container(), container()
    plain = ContainerAdam(theirs, (0.9, 0.99), [range(2)], ALONE)
    assert len(plain.optimiser.param_groups) == 1  # as many kernels are started as ever
    taken(ours, TierRates())
    for step in range(3):
        plain.set_rate(0.03)
        plain.step(loss_of(theirs, range(2), step), 0)
    assert_equal(ours, theirs)


def test_a_factor_of_zero_keeps_a_tier(container):
    made = container()
    before = values_of(made)
    taken(made, TierRates(decoder_rate=0.0))
    for name, value in values_of(made).items():
        assert torch.equal(value, before[name]) == (HMN_TIERS[name] == "decoder"), name


def test_a_saved_state_goes_on_at_the_same_rates_for_any_cut(container):
    whole, ours = container(), container()
    taken(whole, RATES, steps=4)
    first = taken(ours, RATES, steps=2)
    for cut in ([range(2)], [range(1), range(1, 2)]):
        theirs = container()
        theirs.load_state_dict(ours.state_dict())
        second = ContainerAdam(theirs, (0.9, 0.99), cut, ALONE, RATES)
        second.restore(first.state())
        assert second.state().keys() == first.state().keys()
        if len(cut) > 1:
            continue
        for step in (2, 3):
            second.set_rate(0.03)
            second.step(loss_of(theirs, range(2), step), 0)
        assert_equal(theirs, whole)


class TestFiles:
    def test_defaults_are_not_written(self):
        plain = MatchConfig(steps=4)
        assert (
            not {"dataset_rate", "decoder_rate", "average"}
            & json.loads(plain.model_dump_json()).keys()
        )
        assert plain == MatchConfig.model_validate(plain.model_dump())

    @pytest.mark.parametrize("value", [0.0, 0.5, 2])
    def test_all_else_is_written_and_read(self, value):
        config = MatchConfig(steps=4, class_rate=value, average=0.25)
        document = config.model_dump(mode="json")
        assert (document["class_rate"], document["average"]) == (value, 0.25)
        assert "instance_rate" not in document
        assert MatchConfig.model_validate_json(config.model_dump_json()) == config

    def test_a_bundle_of_before_is_written_to_the_same_bytes(self, hmn_bundle, bundle_of, tmp_path):
        def with_match(**match):
            config = recipe_of("smoke").model_dump()
            config["match"] |= match
            return bundle_of(hmn_bundle.manifest.container, config=config).to_bytes()

        plain = with_match()
        assert b"_rate" not in plain
        assert with_match(dataset_rate=1, class_rate=1, average=0) == plain
        changed = with_match(class_rate=0.0)
        assert b"class_rate" in changed
        for content in (plain, changed):
            path = tmp_path / "x.hmn"
            path.write_bytes(content)
            assert read(path).to_bytes() == content


@pytest.mark.parametrize("value", [-1, "nan", "inf", "fast"])
def test_no_other_factor_is_taken(value):
    with pytest.raises(ValidationError, match="class_rate"):
        TierRates(class_rate=value)
    with pytest.raises(BadSettings, match=r"^setting match\.decoder_rate = "):
        CompressSettings("smoke", None, [f"match.decoder_rate={value}"], {})


def noise():
    labels = torch.arange(2).repeat_interleave(8)
    pixels = torch.randint(0, 256, (16, 1, 16, 16), generator=stream(0, "pixels"))
    return Source("noise", ("a", "b"), split_of(pixels.to(torch.uint8), labels), None)


def test_they_are_settings_of_matching_and_a_run_resumes(tmp_path):
    assignments = ["match.instance_rate=2", "match.decoder_rate=0", "match.steps=3"]
    config = CompressSettings("smoke", None, assignments, {}).config()
    assert config.match.factor("instance") == 2

    def run(name, *, config=config, resume=False, pause_at=0):
        asked = itertools.count(1)
        return hmnpack.compress(
            noise(),
            8,
            config=config,
            output=tmp_path / f"{name}.hmn",
            options=RunOptions(
                device="cpu", resume=resume, should_pause=lambda: next(asked) == pause_at
            ),
            source_options=SourceOptions(cache_dir=tmp_path / "cache"),
        )

    whole, plain = run("whole"), run("plain", config=recipe_of("smoke"))
    with pytest.raises(Paused, match="step 2 of 3 of matching"):
        run("parts", pause_at=7)  # the warm-up has five steps
    assert run("parts", resume=True).to_bytes() == whole.to_bytes()
    assert not torch.equal(whole.tensors["memory.instance"], plain.tensors["memory.instance"])
