"""Settings that a file only tells of: bounded, and else nobody's business."""

import pytest

from hmnpack.bundle import inspect, read
from hmnpack.bundle.faults import BadManifest, BadSize

OPAQUE = [
    ({"a": "x" * 16_500}, BadSize, "takes 165.. bytes, of 16384 at most"),
    ({"é" * 5_000: "é" * 5_000}, BadSize, "takes 200.. bytes"),
    ({str(i): i for i in range(3_000)}, BadSize, "bytes, of 16384 at most"),
    ({"a": [[[[[[[[]]]]]]]]}, BadSize, "is nested more than 8 deep"),
    ([], BadManifest, "an object"),
    ("x", BadManifest, "an object"),
    (1, BadManifest, "an object"),
]


@pytest.mark.parametrize(("config", "fault", "match"), OPAQUE)
def test_settings_that_are_too_much(forge, refused, config, fault, match):
    data = forge(lambda _, manifest: manifest.update(config=config))
    refused(data, fault, rf"key config: .*{match}")


@pytest.mark.parametrize(("config", "fault", "match"), OPAQUE)
def test_settings_of_a_score_and_of_a_pruning(forge, refused, config, fault, match):
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
    refused(data, fault, rf"key scores\.0\.config: .*{match}")
    data = forge(lambda _, manifest: manifest["provenance"].update(prunings=[pruning]))
    refused(data, fault, rf"key provenance\.prunings\.0\.config: .*{match}")


def test_settings_within_the_bounds_are_nobodys_business(forge, tmp_path):
    config = {"\x1b[2J": [[[[[[None, -0.5, True, "<b>"]]]]]], "": {"x" * 16_000: {}}}
    path = tmp_path / "a.hmn"
    path.write_bytes(forge(lambda _, manifest: manifest.update(config=config, recipe="<i>")))
    assert inspect(path).config == config
    assert read(path).manifest.recipe == "<i>"


def test_an_integer_of_settings_that_is_too_large(forge, refused):
    data = forge(lambda _, manifest: manifest.update(config={"\u202e": 2**63}))
    refused(data, BadManifest, r"manifest key config\.\\u202e: an integer of more than 64 bits")
