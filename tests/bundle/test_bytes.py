"""Serialisation: literal bytes, deterministic output, and round trips."""

import dataclasses
import struct

import pytest
import torch

from hmnpack.bundle import Bundle, data_sha256, inspect, read
from hmnpack.bundle.faults import Corrupted, LedgerMismatch, NotFinite
from hmnpack.container import container_of
from hmnpack.container.budget import plan
from hmnpack.errors import BadBundle
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Normalisation, SourceFacts
from hmnpack.schema.recipes import DataShape
from hmnpack.settings import merged, recipe_of, settings_to_record

# sha256 of the eight bytes of 0.5 and 1.0, and of the manifest with its own hash zeroed.
DATA_SHA256 = "9612447463caefad31915f64e51022988711393baf3f6c81ed61c38a46e24351"
MANIFEST_SHA256 = "153de876e407163a623b3edd8353f6f9a296ba31cfe9a87ab0e4aaab860b211d"


@pytest.fixture
def tiny(bundle_of, images):
    spec = images(instances=1, image=ImageShape(channels=1, height=1, width=1))
    tensors = {"pixels": torch.tensor([0.5, 1.0]).reshape(2, 1, 1, 1)}
    return Bundle(
        bundle_of(spec, classes=("a", '"é'), data_sha256=data_sha256(tensors)).manifest, tensors
    )


def test_literal_bytes(tiny):
    data = tiny.to_bytes()
    text = (
        r'{"__metadata__":{"hmn":"{\"budget\":{\"bytes\":8,\"floats\":2,\"ipc\":1},'
        r"\"classes\":[\"a\",\"\\\"é\"],"
        r"\"container\":{\"classes\":2,\"dtype\":\"F32\","
        r"\"image\":{\"channels\":1,\"height\":1,\"width\":1},"
        r"\"instances\":1,\"kind\":\"images/1\"},"
        r"\"data_sha256\":\"DATA\",\"format_version\":1,"
        r"\"ledger\":{\"rows\":[{\"bytes\":8,\"dtype\":\"F32\","
        r"\"name\":\"pixels\",\"role\":\"pixels\",\"shape\":[2,1,1,1]}]},"
        r"\"manifest_sha256\":\"SELF\","
        r"\"normalisation\":{\"mean\":[0.5],\"std\":[0.25]},"
        r"\"provenance\":{\"device\":\"cpu\",\"hmnpack\":\"0.1.0\",\"prunings\":[],"
        r"\"real_images_used_to_start\":false,\"torch\":\"2.8.0\"},\"scores\":[],"
        r"\"source\":{\"fingerprint\":\"ZEROS\",\"held_out\":1,\"name\":\"made up\","
        r'\"skipped\":{},\"train_images\":10}}"},'
        r'"pixels":{"dtype":"F32","shape":[2,1,1,1],"data_offsets":[0,8]}}'
    )
    text = text.replace("ZEROS", "0" * 64)
    text = text.replace("DATA", DATA_SHA256).replace("SELF", MANIFEST_SHA256)
    header = text.encode()
    header += b" " * (-len(header) % 8)
    assert data == struct.pack("<Q", len(header)) + header + struct.pack("<2f", 0.5, 1.0)


def test_reads_back_what_was_written(hmn_bundle, tmp_path):
    path = tmp_path / "a.hmn"
    hmn_bundle.save(path)
    again = read(path)
    assert again.manifest == hmn_bundle.manifest == inspect(path)
    assert again.to_bytes() == hmn_bundle.to_bytes() == path.read_bytes()
    assert list(again.tensors) == sorted(hmn_bundle.tensors)
    for name, tensor in again.tensors.items():
        assert torch.equal(tensor, hmn_bundle.tensors[name])


def test_safetensors_can_read_the_file(hmn_bundle, tmp_path):
    from safetensors import safe_open

    hmn_bundle.save(tmp_path / "a.hmn")
    with safe_open(tmp_path / "a.hmn", "pt") as file:
        assert set(file.metadata()) == {"hmn"}
        assert set(file.keys()) == set(hmn_bundle.tensors)


def test_f16_halves_the_bytes_and_rounds_the_values(bundle_of, hmn, tmp_path):
    """Values are rounded to the nearest binary16; tensors are read in that type, images are not."""
    whole, half = bundle_of(hmn()), bundle_of(hmn(dtype="F16"))
    assert 2 * half.manifest.ledger.bytes == whole.manifest.ledger.bytes
    assert half.manifest.ledger.floats == whole.manifest.ledger.floats
    half.save(tmp_path / "a.hmn")
    again = read(tmp_path / "a.hmn")
    assert again.to_bytes() == half.to_bytes()
    assert b"F32" not in half.to_bytes()
    for name, tensor in again.tensors.items():
        assert torch.equal(tensor, whole.tensors[name].half())
    assert container_of(again.manifest.container, again.tensors).expand().dtype == torch.float32


def test_unknown_facts_are_omitted(hmn_bundle, bundle_of, hmn):
    """Keys that are None are omitted, except in the container, and only those."""
    text = hmn_bundle.to_bytes().decode("latin1")
    for key in ("recipe", "seed", "holdout", "config", "margins", "labels", "size", "null"):
        assert f'\\"{key}\\"' not in text
    for key in ("scores", "prunings", "skipped", "extractor_channels"):
        assert f'\\"{key}\\"' in text
    without = bundle_of(hmn(extractor_channels=None)).to_bytes()
    assert b'\\"extractor_channels\\":null' in without


def test_all_optional_keys_are_read_back(bundle_of, hmn, tmp_path):
    facts = {
        "source": {
            "name": "x",
            "fingerprint": "0" * 64,
            "train_images": 9,
            "held_out": 0,
            "skipped": {"unreadable": 3, "too-small": 1},
            "size": 32,
            "test_split": {"part": 0.1, "seed": 0},
        },
        "recipe": "mine",
        "seed": 3,
        "holdout": 0.25,
        "config": {"a": None, "b": [1, 2.5, {"c": "<é>"}], "d": {}},
        "budget": {"bytes": 10_000},
    }
    bundle = bundle_of(hmn(), **facts)
    bundle.save(tmp_path / "a.hmn")
    again = inspect(tmp_path / "a.hmn")
    assert again == bundle.manifest
    assert again.config == facts["config"]
    document = again.document()
    assert {name: document[name] for name in facts} == facts


def test_demo_file_is_small(bundle_of, hmn, image_shape):
    """The file of `make demo` has at most 4,000 bytes, including its header."""
    image = image_shape(1, 8, 8)
    spec = plan(1, 10, image, recipe_of("fast").container)
    config = merged(recipe_of("fast"), {"pool.network.width": 32, "match.steps": 400})
    shape = DataShape(name="digits", classes=10, image=image)
    bundle = bundle_of(
        spec,
        classes=tuple("0123456789"),
        source=SourceFacts(
            name="digits", fingerprint="a" * 64, train_images=1352, held_out=130, skipped={}
        ),
        normalisation=Normalisation(mean=(0.30587097727404566,), std=(0.3763432660859791,)),
        recipe=config.recipe,
        seed=config.seed,
        holdout=config.holdout,
        config=settings_to_record(config, shape),
    )
    assert bundle.manifest.ledger.bytes == 774
    assert len(bundle.to_bytes()) <= 3300


def test_noncontiguous_tensors_are_written_by_value(hmn_bundle):
    turned = {
        name: tensor.transpose(0, -1).contiguous().transpose(0, -1)
        for name, tensor in hmn_bundle.tensors.items()
    }
    assert data_sha256(turned) == hmn_bundle.manifest.data_sha256
    assert Bundle(hmn_bundle.manifest, turned).to_bytes() == hmn_bundle.to_bytes()


def test_invalid_bundle_is_not_written(hmn_bundle):
    def written(**changes):
        return dataclasses.replace(hmn_bundle, tensors=hmn_bundle.tensors | changes).to_bytes()

    bias = hmn_bundle.tensors["decoder.0.bias"]
    with pytest.raises(Corrupted, match="data_sha256"):
        written(**{"decoder.0.bias": bias + 1})
    with pytest.raises(LedgerMismatch, match=r"decoder\.0\.bias"):
        written(**{"decoder.0.bias": bias[:-1]})
    with pytest.raises(LedgerMismatch, match="'more'"):
        written(more=bias)
    with pytest.raises(NotFinite, match=r"decoder\.0\.bias"):
        written(**{"decoder.0.bias": bias / 0})


def test_manifest_too_long_for_the_header_is_not_written(bundle_of, images):
    spec = images(classes=12_000, instances=1, image=ImageShape(channels=1, height=1, width=1))
    bundle = bundle_of(spec, classes=tuple(f"{i:0100d}" for i in range(12_000)))
    with pytest.raises(BadBundle, match="1048576"):
        bundle.to_bytes()


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_bundle_from_its_bytes(hmn_bundle, form):
    data = hmn_bundle.to_bytes()
    assert hmn_bundle.nbytes == len(data) > hmn_bundle.manifest.ledger.bytes
    again = Bundle.from_bytes(form(data))
    assert again.manifest == hmn_bundle.manifest and again.to_bytes() == data
    for wrong in (b"", b"a path", data[:-1]):
        with pytest.raises(BadBundle):
            Bundle.from_bytes(form(wrong))
