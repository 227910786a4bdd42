"""Results do not depend on the calling program's `torch.set_default_device`."""

from contextlib import contextmanager

import pytest
import torch

import hmnpack
from hmnpack.augment import normalise
from hmnpack.runtime.devices import default_on_cpu
from hmnpack.runtime.seeds import stream

QUICK = {"train.epochs": 1, "network.width": 4, "network.depth": 2, "min_steps": 1, "repeats": 1}


@contextmanager
def meta_as_default():
    """Make "meta" the default device, which stores no values."""
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


def stripes():
    labels = torch.arange(3).repeat_interleave(12)
    noise = torch.randint(0, 90, (36, 1, 16, 16), generator=stream(0, "noise"))
    return (noise + 60 * labels[:, None, None, None]).to(torch.uint8), labels


def test_default_on_cpu_restores_the_default_device():
    def where(x, *, y=1):
        """Return the device type."""
        return torch.zeros(x + y).device.type

    decorated = default_on_cpu(where)
    with meta_as_default():
        assert (where(1), decorated(1, y=2)) == ("meta", "cpu")
        assert torch.zeros(1).device.type == "meta"
    assert decorated.__doc__ == "Return the device type."


def test_decoding_does_not_depend_on_the_default_device(hmn_bundle):
    def seen():
        dataset = hmnpack.load(hmn_bundle)
        batches = dataset.loader(4, augment=("flip", "crop"), generator=stream(0, "order"))
        return [dataset[3][0], *dataset.tensors(), *next(iter(batches))]

    expected = seen()
    with meta_as_default():
        found = seen()
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one, other)


def test_normalise_does_not_depend_on_the_default_device(hmn_bundle):
    images = torch.rand(2, 3, 4, 4, generator=stream(0, "images"))
    expected = normalise(images, hmn_bundle.manifest.normalisation)
    with meta_as_default():
        assert torch.equal(expected, normalise(images, hmn_bundle.manifest.normalisation))


@pytest.mark.parametrize("form", ["folder", "sheet"])
def test_writers_do_not_depend_on_the_default_device(hmn_bundle, tmp_path, form):
    with meta_as_default():
        assert hmnpack.expand(hmn_bundle, tmp_path / "out.png", format=form).exists()
        assert hmnpack.report(hmn_bundle, tmp_path / "page.html").exists()


@pytest.mark.slow
def test_compress_and_evaluate_do_not_depend_on_the_default_device():
    def made():
        source = hmnpack.tensor_source((images, labels), (images, labels))
        options = hmnpack.RunOptions(device="cpu")
        bundle = hmnpack.compress(source, 8, recipe="smoke", options=options)
        evaluated = hmnpack.evaluate(bundle, source, settings=QUICK, device="cpu")
        return bundle.manifest.data_sha256, [row.accuracies for row in evaluated.rows]

    images, labels = stripes()
    expected = made()
    with meta_as_default():
        assert made() == expected
