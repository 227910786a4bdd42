"""Images of any method, packed as they are: what goes in comes back, and every command reads it."""

import json

import numpy as np
import pytest
import torch

import hmnpack
from hmnpack.bundle import read
from hmnpack.errors import BadData, BadSettings, BudgetTooSmall, OutputExists
from hmnpack.runtime.seeds import stream
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Normalisation
from hmnpack.sources.types import split_of

LABELS = [2, 0, 1, 0, 2]
ORDER = [1, 3, 2, 0, 4]


@pytest.fixture
def images():
    return torch.rand(5, 3, 8, 8, generator=stream(0, "images"))


@pytest.fixture
def source():
    """Real images in three shades, enough to train a network on."""
    labels = torch.arange(3).repeat_interleave(8)
    noise = torch.randint(0, 60, (24, 3, 8, 8), generator=stream(1, "noise"))
    pixels = (80 * labels[:, None, None, None] + noise).to(torch.uint8)
    return hmnpack.tensor_source(
        (pixels, labels), (pixels, labels), classes=["a", "b", "c"], name="shades"
    )


def test_images_come_back_class_by_class(images, tmp_path):
    path = tmp_path / "x.hmn"
    bundle = hmnpack.pack(images, LABELS, ipc=2, classes=["x", "y", "z"], output=path)
    again = read(path)
    assert again.manifest == bundle.manifest
    spec = again.manifest.container
    assert (spec.kind, spec.instances, spec.dtype) == ("images/1", (2, 1, 2), "F32")
    assert torch.equal(again.tensors["pixels"], images[ORDER])
    loaded, labels = hmnpack.load(path).tensors()
    assert torch.equal(loaded, images[ORDER])
    assert labels.tolist() == [0, 0, 1, 2, 2]
    assert hmnpack.load(path).classes == ["x", "y", "z"]


@pytest.mark.parametrize(
    "given",
    [
        lambda pixels: pixels,
        lambda pixels: pixels.numpy(),
        lambda pixels: pixels.numpy().tolist(),
        lambda pixels: pixels.numpy()[::-1].copy()[::-1],
        lambda pixels: pixels.double(),
        lambda pixels: pixels.to(memory_format=torch.channels_last).requires_grad_(),
    ],
    ids=["tensor", "array", "list", "negative stride", "float64", "learned"],
)
def test_file_does_not_depend_on_the_form_of_the_images(images, given):
    expected = hmnpack.pack(images, LABELS, ipc=2).to_bytes()
    for labels in (LABELS, np.array(LABELS, np.uint8), torch.tensor(LABELS, dtype=torch.int32)):
        assert hmnpack.pack(given(images), labels, ipc=2).to_bytes() == expected


def test_uint8_images_are_divided_by_255(images):
    pixels = (images * 255).round().to(torch.uint8)
    whole = hmnpack.pack(pixels, LABELS, ipc=2)
    assert torch.equal(whole.tensors["pixels"], pixels[ORDER].float() / 255)
    half = hmnpack.pack(pixels.numpy(), LABELS, ipc=2, dtype="F16")
    assert half.tensors["pixels"].dtype == torch.float16
    assert 2 * half.manifest.ledger.bytes == whole.manifest.ledger.bytes
    decoded, _ = hmnpack.load(half).tensors()
    assert torch.equal((decoded * 255).round().to(torch.uint8), pixels[ORDER])


def test_arguments_are_not_modified(images):
    before, array = images.clone(), images.numpy()
    array.setflags(write=False)
    bundle = hmnpack.pack(array, LABELS, ipc=2)
    bundle.tensors["pixels"].zero_()
    assert torch.equal(images, before)


def test_manifest_describes_the_packed_images_without_data(images):
    manifest = hmnpack.pack(images, LABELS, ipc=2).manifest
    pixels = (images * 255).round().to(torch.uint8)
    assert manifest.source.fingerprint == split_of(pixels, torch.tensor(LABELS)).fingerprint
    assert (manifest.source.name, manifest.source.train_images) == ("images", 5)
    assert manifest.classes == ("0", "1", "2")
    mean = images.mean((0, 2, 3))
    torch.testing.assert_close(torch.tensor(manifest.normalisation.mean), mean, atol=2e-3, rtol=0)
    assert (manifest.recipe, manifest.seed, manifest.holdout, manifest.config) == (None,) * 4
    assert manifest.provenance.real_images_used_to_start


def test_manifest_describes_the_data(images, source):
    manifest = hmnpack.pack(images, LABELS, ipc=2, data=source, real_start=False).manifest
    assert manifest.source.fingerprint == source.train.fingerprint
    assert (manifest.source.name, manifest.source.train_images) == ("shades", 24)
    assert manifest.classes == ("a", "b", "c")
    shades = source.train.images.float() / 255
    torch.testing.assert_close(
        torch.tensor(manifest.normalisation.std),
        shades.std((0, 2, 3), correction=0),
        atol=1e-4,
        rtol=0,
    )
    assert not manifest.provenance.real_images_used_to_start


def test_arguments_take_precedence_over_the_data(images, source):
    given = Normalisation(mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))
    bundle = hmnpack.pack(
        images, LABELS, ipc=2, data=source, name="mine", classes=list("xyz"), normalisation=given
    )
    manifest = bundle.manifest
    assert (manifest.source.name, manifest.normalisation) == ("mine", given)
    assert manifest.classes == ("x", "y", "z")


def test_packed_bundle_works_with_the_other_functions(images, source, tmp_path):
    path = tmp_path / "x.hmn"
    hmnpack.pack(images, LABELS, ipc=2, data=source, output=path)
    assert hmnpack.inspect(path).container.images == 5
    hmnpack.expand(path, tmp_path / "pictures")
    names = sorted(str(file.parent.name) for file in (tmp_path / "pictures").rglob("*.png"))
    assert names == ["a", "a", "b", "c", "c"]
    smaller = hmnpack.prune(path, 1, settings={"strategy": "random"}, device="cpu")
    assert smaller.manifest.container.instances == 1
    report = tmp_path / "x.html"
    hmnpack.report(path, report)
    assert "not made by a recipe" in report.read_text(encoding="utf-8")
    config = EvaluateConfig(repeats=1, baselines=False, min_steps=2)
    settings = {"network.width": 4, "network.depth": 2, "train.epochs": 1, "train.batch": 4}
    found = hmnpack.evaluate(path, source, config, settings=settings, device="cpu")
    assert found.rows[0].images == 5
    with pytest.raises(BadData, match="does not record which images were held out"):
        hmnpack.evaluate(path, source, config, settings={"held_out": True}, device="cpu")


def test_packed_bundle_works_with_the_command_line(images, tmp_path):
    from click.testing import CliRunner

    from hmnpack.cli.group import main

    path = tmp_path / "x.hmn"
    hmnpack.pack(images, LABELS, ipc=2, output=path)
    done = CliRunner().invoke(main, ["inspect", str(path), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["container"]["kind"] == "images/1"


def test_images_over_budget_are_rejected(images):
    images, labels = images[[0, 1, 2, 3, 4, 0, 1]], [*LABELS, 0, 0]
    said = "7 images are 1,344 floats, but ipc 2 allows 1,152 for 3 classes: .* ipc of at least 3"
    with pytest.raises(BudgetTooSmall, match=said):
        hmnpack.pack(images, labels, ipc=2)
    with pytest.raises(BudgetTooSmall):
        hmnpack.pack(images, labels, ipc=2, dtype="F16")
    assert hmnpack.pack(images, labels, ipc=3).manifest.container.counts == (4, 1, 2)


def test_existing_output_is_not_replaced(images, tmp_path):
    path = tmp_path / "x.hmn"
    path.write_bytes(b"mine")
    with pytest.raises(OutputExists):
        hmnpack.pack(images, LABELS, ipc=2, output=path)
    assert path.read_bytes() == b"mine"
    hmnpack.pack(images, LABELS, ipc=2, output=path, force=True)
    assert read(path).manifest.container.images == 5


PIXELS = torch.zeros(5, 3, 8, 8)


@pytest.mark.parametrize(
    ("images", "labels", "changes", "error", "said"),
    [
        (PIXELS - 0.5, LABELS, {}, BadData, r"from -0\.5 to -0\.5; give .* \* std \+ mean"),
        (PIXELS + 1.5, LABELS, {}, BadData, "undo the normalisation"),
        (PIXELS * float("nan"), LABELS, {}, BadData, "an infinity or NaN"),
        (PIXELS.long(), LABELS, {}, BadData, "images are torch.int64; give uint8"),
        (PIXELS[:, 0], LABELS, {}, BadData, r"shape \[5, 8, 8\]; give \[N, C, H, W\]"),
        ("x.npy", LABELS, {}, BadData, "images are text, such as 'x.npy'; give a tensor"),
        (PIXELS, list("catty"), {}, BadData, "labels are text, such as 'c'; number the classes"),
        (PIXELS, [0, 1, 2, None, 0], {}, BadData, "labels are of type object, such as '0'"),
        (PIXELS + 200, LABELS, {}, BadData, r"from 200 to 200; .* divide by 255, or give uint8"),
        (PIXELS + 300, LABELS, {}, BadData, r"from 300 to 300; .* undo the normalisation"),
        (PIXELS.permute(0, 2, 3, 1), LABELS, {}, BadData, r"images\.permute\(0, 3, 1, 2\)"),
        (PIXELS, LABELS[1:], {}, BadData, "give one integer for each of the 5 images"),
        (PIXELS, torch.eye(5), {}, BadData, "give one integer for each of the 5 images"),
        (PIXELS, [0, 1, 2, -1, 0], {}, BadData, "label -1 has no class name; there are 3 classes"),
        (PIXELS, LABELS, {"classes": ["a", "b"]}, BadData, "label 2 has no class name"),
        (PIXELS, LABELS, {"classes": list("abcd")}, BadData, "class 'd' has no images"),
        (PIXELS, LABELS, {"classes": ["a", 1, "c"]}, BadData, "class name 1 is not a string"),
        (PIXELS, [0, 0, 2, 2, 2], {}, BadData, "no image has label 1"),
        (PIXELS, [0, 1, 2, 2**40, 2], {}, BadData, "without gaps"),
        (PIXELS, LABELS, {"name": ""}, BadData, "name has 0 characters"),
        (PIXELS, LABELS, {"ipc": 0}, BadSettings, "ipc must be an integer"),
        (PIXELS, LABELS, {"dtype": "I8"}, BadSettings, "cannot be stored as 'I8'; give F32 or F16"),
        (
            PIXELS,
            LABELS,
            {"normalisation": Normalisation(mean=(0.5,), std=(1.0,))},
            BadSettings,
            "1 means .* images have 3 channels",
        ),
    ],
)
def test_invalid_arguments_are_rejected(images, labels, changes, error, said):
    with pytest.raises(error, match=said):
        hmnpack.pack(images, labels, **{"ipc": 2} | changes)


def test_data_with_another_shape_or_classes_is_rejected(source):
    with pytest.raises(BadData, match=r"shape \[3, 9, 8\], but those of shades have \[3, 8, 8\]"):
        hmnpack.pack(torch.zeros(5, 3, 9, 8), LABELS, ipc=2, data=source)
    with pytest.raises(BadData, match="there are 2 classes, but 3 in shades"):
        hmnpack.pack(PIXELS, [0, 1, 0, 1, 0], ipc=3, data=source, classes=["a", "b"])
