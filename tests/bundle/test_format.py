"""A second reader, written from FORMAT.md with nothing but json and NumPy, against the real one."""

import hashlib
import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest

from hmnpack.bundle import read
from hmnpack.container import container_of

GOLDEN = Path(__file__).parents[1] / "golden"


def read_file(data):
    (length,) = struct.unpack("<Q", data[:8])
    assert length <= 2**20
    header = json.loads(data[8 : 8 + length])
    assert set(header["__metadata__"]) == {"hmn"}
    text = header.pop("__metadata__")["hmn"]
    manifest = json.loads(text)
    assert manifest["format_version"] == 1
    zeroed = text.replace(manifest["manifest_sha256"], "0" * 64).encode()
    assert hashlib.sha256(zeroed).hexdigest() == manifest["manifest_sha256"]
    stored = data[8 + length :]
    assert hashlib.sha256(stored).hexdigest() == manifest["data_sha256"]
    tensors, end = {}, 0
    for name in sorted(header):
        begin, stop = header[name]["data_offsets"]
        assert begin == end
        expected = manifest["container"].get("dtype", "F32")
        if expected == "I8" and not name.startswith("memory"):
            expected = "F16"
        assert header[name]["dtype"] == expected
        kind = {"F32": "<f4", "F16": "<f2", "I8": "i1"}[expected]
        tensors[name] = np.frombuffer(stored[begin:stop], kind).reshape(header[name]["shape"])
        end = stop
    assert end == len(stored)
    return manifest, tensors


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
}


def layer(z, weight, bias):
    side = z.shape[1]
    # Two cells more at the start and end than the formula's Y and X, which are cut off.
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


def labels_of(container):
    n = container["instances"]
    counts = n if isinstance(n, list) else [n] * container["classes"]
    assert len(counts) == container["classes"]
    return [k for k, count in enumerate(counts) for _ in range(count)]


def decode(container, tensors):
    tensors = {
        name: tensor.astype(np.float64) / (128 if tensor.dtype == np.int8 else 1)
        for name, tensor in tensors.items()
    }
    if container["kind"] == "images/1":
        return np.clip(tensors["pixels"], 0, 1)
    assert container["kind"] == "hmn/1"
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
        size = container["image"]["height"], container["image"]["width"]
        if z.shape[1:] != size:
            z = resize_axis(resize_axis(z, 1, size[0]), 2, size[1])
        images.append(1 / (1 + np.exp(-z)))
    return np.stack(images)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("v1-*.hmn")), ids=lambda path: path.stem)
def test_the_golden_bundles_decode_alike(path):
    manifest, tensors = read_file(path.read_bytes())
    bundle = read(path)
    ours = container_of(bundle.manifest.container, bundle.tensors)
    np.testing.assert_allclose(
        decode(manifest["container"], tensors), ours.expand().numpy(), atol=1e-5, rtol=0
    )
    assert ours.labels().tolist() == labels_of(manifest["container"])
    assert manifest["classes"] == list(bundle.manifest.classes)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_every_choice_decodes_alike(bundle_of, hmn, image_shape, activation):
    spec = hmn(activation=activation, image=image_shape(3, 9, 21))
    bundle = bundle_of(spec)
    manifest, tensors = read_file(bundle.to_bytes())
    ours = container_of(spec, bundle.tensors).expand().numpy()
    np.testing.assert_allclose(decode(manifest["container"], tensors), ours, atol=1e-5, rtol=1e-5)


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
def test_every_form_decodes_alike(bundle_of, hmn, changes):
    bundle = bundle_of(hmn(**changes))
    manifest, tensors = read_file(bundle.to_bytes())
    ours = container_of(bundle.manifest.container, bundle.tensors).expand().numpy()
    np.testing.assert_allclose(decode(manifest["container"], tensors), ours, atol=1e-5, rtol=1e-5)


def test_canonical_json_is_what_the_page_says(hmn_bundle):
    data = hmn_bundle.to_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    text = json.loads(data[8 : 8 + length])["__metadata__"]["hmn"]
    again = json.dumps(
        json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    assert text == again
    assert data[8:].startswith(b'{"__metadata__":{"hmn":')
    assert length % 8 == 0
