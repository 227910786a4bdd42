"""Files of every released format version stay readable and decode to the same images."""

import json
from pathlib import Path

import pytest
import torch

from hmnpack.bundle import inspect, read
from hmnpack.container import container_of

FILES = sorted(Path(__file__).parent.glob("v*.hmn"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_file_decodes_to_the_same_images(path):
    bundle = read(path)
    expected = torch.tensor(json.loads(path.with_suffix(".json").read_text()))
    images = container_of(bundle.manifest.container, bundle.tensors).expand()
    torch.testing.assert_close(images, expected, atol=1e-5, rtol=0)
    assert bundle.manifest == inspect(path, verify=True)


def test_settings_and_scores_are_read(golden):
    manifest = inspect(golden / "v1-hmn.hmn")
    assert manifest.classes == ('<b>"Ä & [red]', "日本語")
    assert (manifest.recipe, manifest.seed, manifest.holdout) == ("smoke", 0, 0.1)
    assert manifest.config is None
    assert manifest.scores[0].accuracies == (50.0, 51.5, 49.25)
    assert manifest.scores[0].protocol == "short"
    assert manifest.scores[0].config == {"jpeg_quality": 75}


def test_margins_and_prunings_are_read(golden):
    manifest = inspect(golden / "v1-pruned.hmn")
    assert manifest.margins.values == (9000, -10000, 10000, 0)
    assert manifest.margins.areas == (180.0, -200.0, 200.0, 0.0)
    (pruning,) = manifest.provenance.prunings
    assert (pruning.strategy, pruning.beta, pruning.instances) == ("double-end", 0.5, 5)
    assert pruning.config == {"betas": [0.0, 0.5]}
    assert [score.accuracies for score in pruning.scores] == [(60.0,), (61.5,)]


def test_golden_file_is_written_to_the_same_bytes(golden):
    for path in FILES:
        assert read(path).to_bytes() == path.read_bytes()


@pytest.fixture
def golden():
    return Path(__file__).parent
