"""Opaque settings in a file: bounded in size and depth, but not validated."""

import pytest

from hmnpack.bundle import inspect, read
from hmnpack.bundle.faults import BadManifest, BadSize

OPAQUE = [
    ({"a": "x" * 16_500}, BadSize, "takes 165.. bytes, more than the maximum of 16384"),
    ({"é" * 5_000: "é" * 5_000}, BadSize, "takes 200.. bytes"),
    ({str(i): i for i in range(3_000)}, BadSize, "bytes, more than the maximum of 16384"),
    ({"a": [[[[[[[[]]]]]]]]}, BadSize, "is nested more than 8 levels deep"),
    ([], BadManifest, "an object"),
    ("x", BadManifest, "an object"),
    (1, BadManifest, "an object"),
]


@pytest.mark.parametrize(("config", "fault", "match"), OPAQUE)
def test_settings_that_exceed_the_bounds(forge, rejected, config, fault, match):
    data = forge(lambda _, manifest: manifest.update(config=config))
    rejected(data, fault, rf"key config: .*{match}")


@pytest.mark.parametrize(("config", "fault", "match"), OPAQUE)
def test_settings_of_scores_and_prunings_that_exceed_the_bounds(
    forge, rejected, config, fault, match
):
    score = {
        "protocol": "short",
        "config": config,
        "network": "convnet",
        "seed": 0,
        "data": "x",
        "held_out": False,
        "fingerprint": "0" * 64,
        "images": 6,
        "accuracies": [50.0],
        "baselines": [],
    }
    pruning = {
        "strategy": "random",
        "config": config,
        "seed": 0,
        "instances": 4,
        "held_out": 0,
        "scores": [],
    }
    data = forge(lambda _, manifest: manifest.update(scores=[score]))
    rejected(data, fault, rf"key scores\.0\.config: .*{match}")
    data = forge(lambda _, manifest: manifest["provenance"].update(prunings=[pruning]))
    rejected(data, fault, rf"key provenance\.prunings\.0\.config: .*{match}")


def test_settings_within_the_bounds_are_not_validated(forge, tmp_path):
    config = {"\x1b[2J": [[[[[[None, -0.5, True, "<b>"]]]]]], "": {"x" * 16_000: {}}}
    path = tmp_path / "a.hmn"
    path.write_bytes(forge(lambda _, manifest: manifest.update(config=config, recipe="<i>")))
    assert inspect(path).config == config
    assert read(path).manifest.recipe == "<i>"


def test_settings_with_an_integer_over_64_bits(forge, rejected):
    data = forge(lambda _, manifest: manifest.update(config={"\u202e": 2**63}))
    rejected(data, BadManifest, r"manifest key config\.\\u202e: integer does not fit into 64 bits")
