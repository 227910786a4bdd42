"""8-bit storage: the same network with rounded values."""

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


def in_8_bits(spec):
    return spec.model_copy(update={"dtype": "I8"})


def test_scaling_changes_no_image(spec, tensors):
    scaled = in_unit_range(tensors)
    assert not torch.equal(scaled["memory.instance"], tensors["memory.instance"])
    before, after = (container_of(spec, each).expand() for each in (tensors, scaled))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


def test_scaled_channels_use_the_whole_range(tensors):
    for name in MEMORIES:
        largest = by_channel(name, in_unit_range(tensors)[name]).abs().amax(1)
        torch.testing.assert_close(largest, torch.full_like(largest, 127 / 128))


@pytest.mark.parametrize("name", MEMORIES)
def test_scaling_preserves_a_channel_of_zeros(tensors, spec, name):
    tensors[name].select(0 if name == "memory.dataset" else 1, 0).zero_()
    scaled = in_unit_range(tensors)
    assert (by_channel(name, scaled[name])[0] == 0).all()
    before, after = (container_of(spec, each).expand() for each in (tensors, scaled))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MEMORIES)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_memories_are_detected_in_8_bits(tensors, spec, name, value):
    """An integer cannot represent the value, but the weights that read the memory can."""
    tensors[name].flatten()[1] = value
    stored = as_stored(in_8_bits(spec), in_unit_range(tensors))
    with pytest.raises(NotFinite, match="weight"):
        check_finite(stored)


@pytest.mark.parametrize("dtype", ["F16", "I8"])
def test_values_too_large_for_16_bits_are_rejected(tensors, spec, dtype):
    """With folded scales the product is too large, though neither factor is."""
    tensors["memory.instance"][1] *= 1e4
    tensors["decoder.0.weight"] *= 1e2 if dtype == "I8" else 1e7
    container = container_of(spec, tensors)
    container.spec = spec.model_copy(update={"dtype": dtype})
    with pytest.raises(BadSettings, match=r"decoder\.0\.weight .* 65,504; .*container\.dtype=F32"):
        container.stored_tensors()
    container.spec = spec
    assert all(tensor.isfinite().all() for tensor in container.stored_tensors().values())


def test_8_bit_values_are_rounded_to_multiples_of_one_128th(hmn):
    spec = hmn(classes=1, instances=1, instance_channels=1, grid=2, dtype="I8")
    values = torch.tensor([-1.0, -0.0059, 0.0059, 3.0]).view(1, 1, 2, 2)
    stored = as_stored(spec, {"memory.instance": values})["memory.instance"]
    assert (stored.dtype, stored.flatten().tolist()) == (torch.int8, [-128, -1, 1, 127])
    assert values_of(stored).flatten().tolist() == [-1.0, -1 / 128, 1 / 128, 127 / 128]


def test_8_bit_bundles_store_memories_in_one_byte_and_weights_in_two(spec, tensors):
    scaled = in_unit_range(tensors)
    stored = as_stored(in_8_bits(spec), scaled)
    for row in in_8_bits(spec).ledger().rows:
        tensor = stored[row.name]
        memory = row.name in MEMORIES
        assert row.bytes == tensor.nbytes == row.elements * (1 if memory else 2)
        # Half an 8-bit step, or half a unit in the last of binary16's 11 places.
        allowed = 0.5 / 128 if memory else scaled[row.name].abs() / 2**11 + 2.0**-25
        assert ((values_of(tensor) - scaled[row.name]).abs() <= allowed).all()


def test_storing_in_8_bits_is_idempotent(spec, tensors):
    container = container_of(spec, tensors)
    container.spec = in_8_bits(spec)
    once = container.stored_tensors()
    again = container_of(in_8_bits(spec), once).stored_tensors()
    assert all(torch.equal(once[name], again[name]) for name in once)


def test_compress_in_8_bits_yields_nearly_the_same_images_in_fewer_bytes(tmp_path):
    """Values are rounded only when the file is written."""

    def compressed(dtype):
        settings = {"container.dtype": dtype}
        return hmnpack.compress("digits", ipc=1, recipe="smoke", settings=settings)

    full, small = compressed("F32"), compressed("I8")
    assert small.manifest.ledger.bytes < 0.5 * full.manifest.ledger.bytes
    before, after = (
        container_of(each.manifest.container, each.tensors).expand() for each in (full, small)
    )
    assert 0 < (after - before).abs().mean() < 2 / 255
    small.save(tmp_path / "a.hmn")
    assert torch.equal(hmnpack.load(tmp_path / "a.hmn").tensors()[0], after)


@pytest.mark.parametrize("channels", [(), (3, 2)])
@pytest.mark.parametrize("dtype", ["F32", "F16", "I8"])
def test_ledger_order_by_name_is_also_widest_dtype_first(hmn, channels, dtype):
    """The format requires order by name; safetensors writes by dtype, then by name."""
    rows = hmn(dtype=dtype, decoder_channels=channels, extractor_channels=3).ledger().rows
    by_type = sorted(rows, key=lambda row: (-row.bytes // row.elements, row.name))
    assert [row.name for row in by_type] == sorted(row.name for row in rows)
