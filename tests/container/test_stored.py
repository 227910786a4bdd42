"""Numbers in 8 bits: the same network, rounded."""

import pytest
import torch

import hmnpack
from hmnpack.bundle.bundle import check_finite
from hmnpack.bundle.faults import NotFinite
from hmnpack.container import container_of
from hmnpack.container.stored import as_stored, in_unit_range, values_of
from hmnpack.errors import BadSettings

MEMORIES = ("memory.dataset", "memory.class", "memory.instance")


def by_channel(name, tensor):
    """Return [channels, everything else]."""
    return (tensor if name == "memory.dataset" else tensor.transpose(0, 1)).flatten(1)


@pytest.fixture(params=[None, 3], ids=["identity", "extractors"])
def spec(request, hmn):
    return hmn(extractor_channels=request.param, dataset_channels=2, instance_channels=3)


@pytest.fixture
def tensors(spec, bundle_of):
    return bundle_of(spec).tensors


def eight(spec):
    return spec.model_copy(update={"dtype": "I8"})


def test_scales_change_no_image(spec, tensors):
    scaled = in_unit_range(tensors)
    assert not torch.equal(scaled["memory.instance"], tensors["memory.instance"])
    before, after = (container_of(spec, each).expand() for each in (tensors, scaled))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


def test_each_channel_uses_all_of_its_range(tensors):
    for name in MEMORIES:
        largest = by_channel(name, in_unit_range(tensors)[name]).abs().amax(1)
        torch.testing.assert_close(largest, torch.full_like(largest, 127 / 128))


@pytest.mark.parametrize("name", MEMORIES)
def test_a_channel_of_zeros_stays(tensors, spec, name):
    tensors[name].select(0 if name == "memory.dataset" else 1, 0).zero_()
    scaled = in_unit_range(tensors)
    assert (by_channel(name, scaled[name])[0] == 0).all()
    before, after = (container_of(spec, each).expand() for each in (tensors, scaled))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MEMORIES)
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_stays_to_be_found(tensors, spec, name, number):
    """An integer cannot hold it, but the weights behind it can."""
    tensors[name].flatten()[1] = number
    stored = as_stored(eight(spec), in_unit_range(tensors))
    with pytest.raises(NotFinite, match="weight"):
        check_finite(stored)


@pytest.mark.parametrize("dtype", ["F16", "I8"])
def test_what_16_bits_do_not_hold_is_said_with_a_way_out(tensors, spec, dtype):
    """The product is what counts where scales are folded: neither factor is too large alone."""
    tensors["memory.instance"][1] *= 1e4
    tensors["decoder.0.weight"] *= 1e2 if dtype == "I8" else 1e7
    container = container_of(spec, tensors)
    container.spec = spec.model_copy(update={"dtype": dtype})
    with pytest.raises(BadSettings, match=r"decoder\.0\.weight .* 65,504 .*container\.dtype=F32"):
        container.stored_tensors()
    container.spec = spec
    assert all(tensor.isfinite().all() for tensor in container.stored_tensors().values())


def test_integers_are_the_nearest_of_each_128th(hmn):
    spec = hmn(classes=1, instances=1, instance_channels=1, grid=2, dtype="I8")
    numbers = torch.tensor([-1.0, -0.0059, 0.0059, 3.0]).view(1, 1, 2, 2)
    stored = as_stored(spec, {"memory.instance": numbers})["memory.instance"]
    assert (stored.dtype, stored.flatten().tolist()) == (torch.int8, [-128, -1, 1, 127])
    assert values_of(stored).flatten().tolist() == [-1.0, -1 / 128, 1 / 128, 127 / 128]


def test_memories_take_a_byte_a_number_and_networks_two(spec, tensors):
    scaled = in_unit_range(tensors)
    stored = as_stored(eight(spec), scaled)
    for row in eight(spec).ledger().rows:
        tensor = stored[row.name]
        memory = row.name in MEMORIES
        assert row.bytes == tensor.nbytes == row.elements * (1 if memory else 2)
        # Half a step of 8 bits, or half a unit in the last of binary16's 11 places.
        allowed = 0.5 / 128 if memory else scaled[row.name].abs() / 2**11 + 2.0**-25
        assert ((values_of(tensor) - scaled[row.name]).abs() <= allowed).all()


def test_what_is_read_is_stored_again_as_it_was(spec, tensors):
    container = container_of(spec, tensors)
    container.spec = eight(spec)
    once = container.stored_tensors()
    again = container_of(eight(spec), once).stored_tensors()
    assert all(torch.equal(once[name], again[name]) for name in once)


def test_a_run_ends_with_the_same_images_in_fewer_bytes(tmp_path):
    """Numbers are rounded when the file is written, and at no other time."""

    def packed(dtype):
        settings = {"container.dtype": dtype}
        return hmnpack.compress("digits", ipc=1, recipe="smoke", settings=settings)

    whole, small = packed("F32"), packed("I8")
    assert small.manifest.ledger.bytes < 0.5 * whole.manifest.ledger.bytes
    before, after = (
        container_of(each.manifest.container, each.tensors).expand() for each in (whole, small)
    )
    assert 0 < (after - before).abs().mean() < 2 / 255
    small.save(tmp_path / "a.hmn")
    assert torch.equal(hmnpack.load(tmp_path / "a.hmn").tensors()[0], after)


@pytest.mark.parametrize("channels", [(), (3, 2)])
@pytest.mark.parametrize("dtype", ["F32", "F16", "I8"])
def test_widest_types_first_is_by_name(hmn, channels, dtype):
    """Which a file must be, and how the library writes one: by type, then by name."""
    rows = hmn(dtype=dtype, decoder_channels=channels, extractor_channels=3).ledger().rows
    by_type = sorted(rows, key=lambda row: (-row.bytes // row.elements, row.name))
    assert [row.name for row in by_type] == sorted(row.name for row in rows)
