import sys

import pytest
import torch

from hmnpack.errors import MissingExtra
from hmnpack.sources import SourceOptions, open_source


def test_digits_have_a_fixed_split():
    pytest.importorskip("sklearn")
    source = open_source("digits")
    assert source.classes == tuple("0123456789")
    assert source.image.model_dump() == {"channels": 1, "height": 8, "width": 8}
    assert (len(source.train), len(source.test)) == (1352, 445)
    assert source.train.fingerprint.startswith("7aa31fbe")
    assert torch.unique(source.train.images).tolist() == [round(v * 255 / 16) for v in range(17)]


def test_digits_test_split_is_a_quarter_of_each_class():
    pytest.importorskip("sklearn")
    source = open_source("digits")
    here, there = (torch.bincount(part.labels) for part in (source.train, source.test))
    assert torch.equal(there, (here + there) // 4)


def test_digits_can_be_resized():
    pytest.importorskip("sklearn")
    source = open_source("digits", SourceOptions(size=16))
    assert source.train.images.shape == (1352, 1, 16, 16)


def test_digits_without_scikit_learn_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtra, match=r"pip install -e '\.\[digits\]'"):
        open_source("digits")
