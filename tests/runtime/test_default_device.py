"""After a program's own `torch.set_default_device`, everything works as before."""

from contextlib import contextmanager

import pytest
import torch

import hmnpack
from hmnpack.augment import normalise
from hmnpack.runtime.devices import default_on_cpu
from hmnpack.runtime.seeds import stream

QUICK = {"train.epochs": 1, "network.width": 4, "network.depth": 2, "min_steps": 1, "repeats": 1}


@contextmanager
def elsewhere():
    """Make a device without numbers the default: whatever lands there is lost."""
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


def stripes():
    labels = torch.arange(3).repeat_interleave(12)
    noise = torch.randint(0, 90, (36, 1, 16, 16), generator=stream(0, "noise"))
    return (noise + 60 * labels[:, None, None, None]).to(torch.uint8), labels


def test_what_is_decorated_takes_the_cpu_and_leaves_the_default():
    def where(x, *, y=1):
        """Say where."""
        return torch.zeros(x + y).device.type

    decorated = default_on_cpu(where)
    with elsewhere():
        assert (where(1), decorated(1, y=2)) == ("meta", "cpu")
        assert torch.zeros(1).device.type == "meta"
    assert decorated.__doc__ == "Say where."


def test_a_data_set_decodes_as_before(hmn_bundle):
    def seen():
        dataset = hmnpack.load(hmn_bundle)
        batches = dataset.loader(4, augment=("flip", "crop"), generator=stream(0, "order"))
        return [dataset[3][0], *dataset.tensors(), *next(iter(batches))]

    alone = seen()
    with elsewhere():
        found = seen()
    for one, other in zip(alone, found, strict=True):
        assert torch.equal(one, other)


def test_images_are_centred_as_before(hmn_bundle):
    images = torch.rand(2, 3, 4, 4, generator=stream(0, "images"))
    alone = normalise(images, hmn_bundle.manifest.normalisation)
    with elsewhere():
        assert torch.equal(alone, normalise(images, hmn_bundle.manifest.normalisation))


@pytest.mark.parametrize("form", ["folder", "sheet"])
def test_images_are_written_as_before(hmn_bundle, tmp_path, form):
    with elsewhere():
        assert hmnpack.expand(hmn_bundle, tmp_path / "out.png", format=form).exists()
        assert hmnpack.report(hmn_bundle, tmp_path / "page.html").exists()


@pytest.mark.slow
def test_packing_and_judging_are_as_before():
    def made():
        source = hmnpack.tensor_source((images, labels), (images, labels))
        options = hmnpack.RunOptions(device="cpu")
        bundle = hmnpack.compress(source, 8, recipe="smoke", options=options)
        judged = hmnpack.evaluate(bundle, source, settings=QUICK, device="cpu")
        return bundle.manifest.data_sha256, [row.accuracies for row in judged.rows]

    images, labels = stripes()
    alone = made()
    with elsewhere():
        assert made() == alone
