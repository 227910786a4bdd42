"""An independent reader, written from FORMAT.md with json and NumPy only, against hmnpack's."""

import hashlib
import json
import math
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from hmnpack.bundle import inspect, read
from hmnpack.bundle.faults import UnknownContainer
from hmnpack.container import container_of

GOLDEN = Path(__file__).parents[1] / "golden"
SHIPPED = Path(__file__).parents[2] / "examples" / "bundles"

BITS = {"F32": 32, "F16": 16, "I8": 8, **{f"I{bits}": bits for bits in range(2, 8)}}
"""Sections 2 and 6.2: coding -> bits per element."""

SAFE = {"F32": "<f4", "F16": "<f2", "I8": "i1"}

REQUIRED = {
    *("format_version", "manifest_sha256", "data_sha256", "source", "classes", "normalisation"),
    *("container", "ledger", "budget", "scores", "provenance"),
}
OPTIONAL = {"recipe", "seed", "holdout", "config", "margins"}


def canonical(document):
    """Section 3.1."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def depth(value):
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0


def read_file(data):
    """Return (manifest, tensor name -> bytes) of a file. Sections 1 to 3."""
    (length,) = struct.unpack("<Q", data[:8])
    assert length <= 2**20
    assert data[8:9] == b"{"
    header = json.loads(data[8 : 8 + length])
    stored = data[8 + length :]
    assert set(header["__metadata__"]) == {"hmn"}
    manifest = manifest_of(header.pop("__metadata__")["hmn"])
    assert hashlib.sha256(stored).hexdigest() == manifest["data_sha256"]
    assert 1 <= len(header) <= 256
    parts, end = {}, 0
    for name in sorted(header):
        begin, stop = header[name]["data_offsets"]
        assert begin == end < stop
        parts[name], end = stored[begin:stop], stop
    assert end == len(stored)
    same_tensors(manifest["ledger"]["rows"], header, parts)
    within_budget(manifest)
    return manifest, parts


def manifest_of(text):
    """Sections 3.1, 3.2 and 3.9."""
    manifest = json.loads(text)
    assert manifest["format_version"] == 1
    assert canonical(manifest) == text
    zeroed = text.replace(manifest["manifest_sha256"], "0" * 64).encode()
    assert hashlib.sha256(zeroed).hexdigest() == manifest["manifest_sha256"]
    assert set(manifest) >= REQUIRED
    if "labels" in manifest:
        raise NotImplementedError(f"labels of kind {manifest['labels']['kind']}")
    assert set(manifest) <= REQUIRED | OPTIONAL
    made = manifest["provenance"]
    appended = [one for edit in made.get("edits", ()) for one in edit.get("made", ())]
    for part in (manifest, *made["prunings"], *appended, *manifest["scores"]):
        if "config" in part:
            assert isinstance(part["config"], dict)
            assert len(canonical(part["config"]).encode()) <= 16_384
            assert depth(part["config"]) <= 8
    return manifest


def same_tensors(rows, header, parts):
    """Sections 3.5 and 6.2: the stored tensors match the ledger."""
    assert len({row["name"] for row in rows}) == len(rows)
    assert {row["name"] for row in rows} == set(header)
    for row in rows:
        entry, coding = header[row["name"]], row["dtype"]
        assert len(parts[row["name"]]) == row["bytes"]
        if coding in BITS:
            assert row["bytes"] == math.ceil(math.prod(row["shape"]) * BITS[coding] / 8)
            packed = BITS[coding] < 8
            expected = ("U8", [row["bytes"]]) if packed else (coding, row["shape"])
            assert (entry["dtype"], entry["shape"]) == expected


def within_budget(manifest):
    """Section 3.6."""
    budget, rows = manifest["budget"], manifest["ledger"]["rows"]
    image, container = manifest["container"]["image"], manifest["container"]
    assert ("ipc" in budget) == ("floats" in budget)
    if "ipc" in budget:
        floats = container["classes"] * image["channels"] * image["height"] * image["width"]
        assert budget["floats"] == budget["ipc"] * floats
        assert budget["bytes"] == 4 * budget["floats"]
        assert sum(math.prod(row["shape"]) for row in rows) <= budget["floats"]
    assert sum(row["bytes"] for row in rows) <= budget["bytes"]


def labels_of(container):
    """Section 4.1."""
    n = container["instances"]
    counts = n if isinstance(n, list) else [n] * container["classes"]
    assert len(counts) == container["classes"]
    return [k for k, count in enumerate(counts) for _ in range(count)]


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
}


def layer(z, weight, bias):
    side = z.shape[1]
    # Padded by two cells at the start and end relative to the formula's Y and X, then cropped.
    out = np.zeros((weight.shape[1], 2 * side + 2, 2 * side + 2))
    for y in range(side):
        for x in range(side):
            patch = np.einsum("a,abuv->buv", z[:, y, x], weight)
            out[:, 2 * y : 2 * y + 4, 2 * x : 2 * x + 4] += patch
    return out[:, 1:-1, 1:-1] + bias[:, None, None]


def resize_axis(z, axis, length):
    before = z.shape[axis]
    p = np.maximum(0, (np.arange(length) + 0.5) * before / length - 0.5)
    a = np.minimum(np.floor(p).astype(int), before - 1)
    b = np.minimum(a + 1, before - 1)
    shape = [1, 1, 1]
    shape[axis] = length
    w = (p - a).reshape(shape)
    return (1 - w) * z.take(a, axis) + w * z.take(b, axis)


def values(manifest, parts):
    """Section 4.2: the values of every tensor, decoded by the container's coding."""
    coding, tensors = manifest["container"]["dtype"], {}
    for row in manifest["ledger"]["rows"]:
        halved = coding == "I8" and not row["name"].startswith("memory.")
        assert row["dtype"] == ("F16" if halved else coding)
        stored = np.frombuffer(parts[row["name"]], SAFE[row["dtype"]]).reshape(row["shape"])
        decoded = stored.astype(np.float64)
        if row["dtype"] == "I8" and row["role"] in ("canvases", "bases"):
            decoded = (decoded + 128) / 255
        elif row["dtype"] == "I8":
            decoded = decoded / 128
        tensors[row["name"]] = decoded
        assert np.isfinite(tensors[row["name"]]).all()
    return tensors


def resized(z, container):
    """Section 4.4, step 4."""
    size = container["image"]["height"], container["image"]["width"]
    return z if z.shape[1:] == size else resize_axis(resize_axis(z, 1, size[0]), 2, size[1])


def decode(manifest, parts):
    """Sections 4.2 and 6.1."""
    container = manifest["container"]
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,39}/[1-9][0-9]{0,3}", container["kind"])
    if container["kind"] not in DECODERS or container["dtype"] not in SAFE:
        raise NotImplementedError(f"{container['kind']} in {container['dtype']}")
    return DECODERS[container["kind"]](container, values(manifest, parts))


def decode_images(container, tensors):
    """Section 4.3."""
    return np.clip(tensors["pixels"], 0, 1)


def decode_hmn(container, tensors):
    """Section 4.4."""
    images = []
    for i, k in enumerate(labels_of(container)):
        f = tensors["memory.dataset"]
        if container["extractor_channels"] is not None:
            f = np.einsum("oc,cyx->oyx", tensors["extractor.weight"][k], f)
            f = f + tensors["extractor.bias"][k][:, None, None]
        z = np.concatenate([f, tensors["memory.class"][k], tensors["memory.instance"][i]])
        layers = len(container["decoder_channels"]) + 1
        for index in range(layers):
            z = layer(z, tensors[f"decoder.{index}.weight"], tensors[f"decoder.{index}.bias"])
            if index < layers - 1:
                z = ACTIVATIONS[container["activation"]](z)
        images.append(1 / (1 + np.exp(-resized(z, container))))
    return np.stack(images)


def decode_multi_formation(container, tensors):
    """Section 4.5."""
    f = container["factor"]
    height, width = container["image"]["height"], container["image"]["width"]
    h, w = math.ceil(height / f), math.ceil(width / f)
    assert (f - 1) * h < height
    assert (f - 1) * w < width
    images = []
    for i in range(len(labels_of(container))):
        canvas = np.full((container["image"]["channels"], f * h, f * w), 0.5)
        canvas[:, :height, :width] = np.clip(tensors["memory.canvas"][i // f**2], 0, 1)
        row, column = divmod(i % f**2, f)
        tile = canvas[:, row * h : (row + 1) * h, column * w : (column + 1) * w]
        images.append(resized(tile, container))
    return np.stack(images)


def decode_linear_basis(container, tensors):
    """Section 4.6."""
    images = np.einsum("nb,bcyx->ncyx", tensors["coefficients"], tensors["memory.basis"])
    return np.clip(np.stack([resized(image, container) for image in images]), 0, 1)


def decode_hallucinator(container, tensors):
    """Section 4.7."""
    count, images = container["hallucinators"], []
    height, width = container["image"]["height"], container["image"]["width"]
    for i in range(len(labels_of(container))):
        own = {
            name.removeprefix("hallucinator."): all_[i % count]
            for name, all_ in tensors.items()
            if name.startswith("hallucinator.")
        }
        z = np.clip(tensors["memory.basis"][i // count], 0, 1)
        e = np.zeros(own["scale"].shape) + own["encoder.bias"][:, None, None]
        for u in range(3):
            for v in range(3):
                part = z[:, u : u + height - 2, v : v + width - 2]
                e += np.einsum("ab,byx->ayx", own["encoder.weight"][:, :, u, v], part)
        s = own["scale"] * e + own["shift"]
        d = np.zeros((len(s), height, width)) + own["decoder.bias"][:, None, None]
        for u in range(3):
            for v in range(3):
                part = np.einsum("ab,ayx->byx", own["decoder.weight"][:, :, u, v], s)
                d[:, u : u + height - 2, v : v + width - 2] += part
        images.append(np.clip(d, 0, 1))
    return np.stack(images)


DECODERS = {
    "hmn/1": decode_hmn,
    "images/1": decode_images,
    "hallucinator/1": decode_hallucinator,
    "linear-basis/1": decode_linear_basis,
    "multi-formation/1": decode_multi_formation,
}


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("v1-*.hmn")), ids=lambda path: path.stem)
def test_golden_bundles_decode_to_the_same_images(path):
    manifest, parts = read_file(path.read_bytes())
    bundle = read(path)
    ours = container_of(bundle.manifest.container, bundle.tensors)
    np.testing.assert_allclose(decode(manifest, parts), ours.expand().numpy(), atol=1e-5, rtol=0)
    assert ours.labels().tolist() == labels_of(manifest["container"])
    assert manifest["classes"] == list(bundle.manifest.classes)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.hmn")), ids=lambda path: path.stem)
def test_shipped_bundles_follow_the_rules(path):
    manifest, _ = read_file(path.read_bytes())
    del manifest["manifest_sha256"]
    assert manifest == inspect(path).document()


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_every_activation_decodes_to_the_same_images(bundle_of, hmn, image_shape, activation):
    spec = hmn(activation=activation, image=image_shape(3, 9, 21))
    bundle = bundle_of(spec)
    ours = container_of(spec, bundle.tensors).expand().numpy()
    np.testing.assert_allclose(decode(*read_file(bundle.to_bytes())), ours, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"extractor_channels": None},
        {"decoder_channels": ()},
        {"decoder_channels": (2, 3), "grid": 3},
        {"classes": 1, "instances": 1},
        {"instances": (1, 4)},
        {"classes": 3, "instances": (2, 1, 3), "extractor_channels": None},
        {"dtype": "F16"},
        {"dtype": "I8"},
        {"dtype": "I8", "extractor_channels": None},
        {"dtype": "I8", "decoder_channels": (), "classes": 1, "instances": 1},
    ],
)
def test_every_variant_decodes_to_the_same_images(bundle_of, hmn, changes):
    bundle = bundle_of(hmn(**changes))
    ours = container_of(bundle.manifest.container, bundle.tensors).expand().numpy()
    np.testing.assert_allclose(decode(*read_file(bundle.to_bytes())), ours, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["F32", "F16", "I8"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"factor": 1, "instances": 2}, {"factor": 3, "instances": (9, 27)}],
)
def test_every_multi_formation_decodes_to_the_same_images(
    bundle_of, multi_formation, changes, dtype
):
    bundle = bundle_of(multi_formation(dtype=dtype, **changes))
    ours = container_of(bundle.manifest.container, bundle.tensors).expand().numpy()
    np.testing.assert_allclose(decode(*read_file(bundle.to_bytes())), ours, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["F32", "F16", "I8"])
@pytest.mark.parametrize("changes", [{}, {"bases": 1, "instances": (2, 1)}, {"bases": 40}])
def test_every_linear_basis_decodes_to_the_same_images(bundle_of, linear_basis, changes, dtype):
    bundle = bundle_of(linear_basis(dtype=dtype, **changes))
    ours = container_of(bundle.manifest.container, bundle.tensors).expand().numpy()
    np.testing.assert_allclose(decode(*read_file(bundle.to_bytes())), ours, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["F32", "F16", "I8"])
@pytest.mark.parametrize(
    "changes", [{}, {"basis_channels": 1}, {"hallucinators": 3, "instances": (3, 6)}]
)
def test_every_hallucinator_decodes_to_the_same_images(bundle_of, hallucinator, changes, dtype):
    bundle = bundle_of(hallucinator(dtype=dtype, **changes))
    ours = container_of(bundle.manifest.container, bundle.tensors).expand().numpy()
    np.testing.assert_allclose(decode(*read_file(bundle.to_bytes())), ours, atol=1e-5, rtol=1e-5)


def test_budget_in_bytes_is_accepted(bundle_of, hmn):
    spec = hmn(dtype="I8")
    whole = bundle_of(spec, budget={"bytes": spec.ledger().bytes})
    manifest, parts = read_file(whole.to_bytes())
    assert manifest["budget"] == {"bytes": spec.ledger().bytes}
    ours = container_of(spec, whole.tensors).expand().numpy()
    np.testing.assert_allclose(decode(manifest, parts), ours, atol=1e-5, rtol=1e-5)


def test_settings_are_arbitrary_objects(bundle_of, hmn):
    config = {"é": [None, True, 1, 1.0, -2.5e-7, "\n"], "": {"x": [[[[{}]]]]}}
    manifest, _ = read_file(bundle_of(hmn(), config=config, recipe="mine").to_bytes())
    assert manifest["config"] == config


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "codes/1"},
        {"kind": "images/1", "dtype": "I4"},
        {"kind": "hmn/12", "pages": {"a": 1}},
    ],
)
def test_unknown_container_is_checked_but_not_decoded(images_bundle, tmp_path, change):
    """Both readers read the manifest, and neither decodes the images."""
    data = images_bundle.to_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header, stored = json.loads(data[8 : 8 + length]), data[8 + length :]
    document = json.loads(header["__metadata__"]["hmn"])
    document["container"] |= change
    document["manifest_sha256"] = "0" * 64
    digest = hashlib.sha256(canonical(document).encode()).hexdigest()
    header["__metadata__"]["hmn"] = canonical(document | {"manifest_sha256": digest})
    text = json.dumps(header).encode()
    path = tmp_path / "new.hmn"
    path.write_bytes(struct.pack("<Q", len(text)) + text + stored)
    manifest, parts = read_file(path.read_bytes())
    assert inspect(path, verify=True).document()["container"] == manifest["container"]
    with pytest.raises(NotImplementedError):
        decode(manifest, parts)
    with pytest.raises(UnknownContainer, match="cannot decode"):
        read(path)


def test_canonical_json_follows_section_3_1(hmn_bundle):
    data = hmn_bundle.to_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    text = json.loads(data[8 : 8 + length])["__metadata__"]["hmn"]
    assert text == canonical(json.loads(text))
    assert data[8:].startswith(b'{"__metadata__":{"hmn":')
    assert length % 8 == 0
