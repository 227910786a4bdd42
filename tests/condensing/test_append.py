"""``append``: old classes stay as they are, new ones share their decoder."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import hmnpack
from hmnpack.cli.group import main
from hmnpack.condensing.request import RunOptions
from hmnpack.errors import BadData, BadSettings, BudgetTooSmall, OutputExists, Paused
from hmnpack.page.provenance import provenance_part, settings_part
from hmnpack.schema.ledger import OF_A_CLASS, OF_AN_IMAGE
from hmnpack.settings import recipe_of
from hmnpack.sources import SourceOptions, tensor_source

LABELS = torch.arange(5).repeat_interleave(12)
IMAGE = {"channels": 1, "height": 16, "width": 16}
UNPRUNED = RunOptions(device="cpu", unpruned="unpruned.hmn")
NAMES = ("ant", "bee", "cat", "dog", "elk")


@pytest.fixture(scope="module")
def source():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 100, (60, 1, 16, 16), generator=generator)
    return tensor_source(
        ((noise + 30 * LABELS[:, None, None, None]).to(torch.uint8), LABELS), classes=NAMES
    )


@pytest.fixture
def options(tmp_path):
    return {
        "options": RunOptions(device="cpu"),
        "source_options": SourceOptions(cache_dir=tmp_path / "cache"),
    }


@pytest.fixture
def base_of(source, options):
    """Return a function that condenses the first two classes with given settings."""

    def base_of(ipc=8, **settings):
        first = source.only(NAMES[:2])
        return hmnpack.compress(first, ipc, recipe="smoke", settings=settings, **options)

    return base_of


def old_rows_are_equal(before, after):
    """Check that stored tensors and 8-bit images of the old classes are those of the file."""
    for row in before.manifest.ledger.rows:
        theirs = after.tensors[row.name]
        if row.role in OF_A_CLASS | OF_AN_IMAGE:
            theirs = theirs[: row.shape[0]]
        assert theirs.numpy().tobytes() == before.tensors[row.name].numpy().tobytes(), row.name
    (ours, labels), (grown, more) = (hmnpack.load(one).arrays() for one in (before, after))
    assert np.array_equal(ours, grown[: len(ours)])
    assert np.array_equal(labels, more[: len(labels)])


@pytest.mark.parametrize(
    "settings",
    [
        {"container.dtype": "I8"},
        {"container.dtype": "F16", "container.norm": "none"},
        {"container.kind": "multi-formation", "container.dtype": "I8"},
    ],
    ids=["eight bits", "sixteen bits", "multi-formation"],
)
def test_old_classes_keep_their_bytes_and_budgets_add_up(base_of, source, options, settings):
    base = base_of(**settings)
    more = hmnpack.append(base, source.only(NAMES[2:]), **options)
    old_rows_are_equal(base, more)
    manifest = hmnpack.Bundle.from_bytes(more.to_bytes()).manifest
    assert manifest == more.manifest
    assert manifest.classes == NAMES
    assert manifest.budget.floats == 8 * 5 * 256
    assert manifest.ledger.floats <= manifest.budget.floats
    spec = manifest.container
    assert len(set(spec.counts[2:])) == 1
    # One image more of every new class would exceed their own budget, to which nothing shared adds.
    own = {row.name: row.elements for row in base.manifest.ledger.without_shared().rows}
    added = sum(each.elements for each in manifest.ledger.rows if each.name in own) - sum(
        own.values()
    )
    image = next(r for r in manifest.ledger.rows if r.role in OF_AN_IMAGE)
    assert added <= 8 * 3 * 256 < added + 3 * image.elements // image.shape[0]


@pytest.mark.parametrize("dtype", ["F32", "I8"])
def test_new_images_are_fitted_to_the_new_data(source, options, dtype):
    settings = {"warmup.steps": 60, "match.steps": 0, "container.dtype": dtype}
    ends, between = source.only(["ant", "elk"]), source.only(["bee", "dog"])
    base = hmnpack.compress(ends, 8, recipe="smoke", settings=settings, **options)
    far = []
    for steps in (0, 60):
        more = hmnpack.append(base, between, settings={"warmup.steps": steps}, **options)
        images, labels = hmnpack.load(more).tensors()
        means = [float(images[labels == label].mean()) for label in (2, 3)]
        real = [
            float(source.train.images[label == LABELS].float().mean()) / 255 for label in (1, 3)
        ]
        far.append(max(abs(ours - theirs) for ours, theirs in zip(means, real, strict=True)))
    assert far[1] < far[0] / 2


def test_settings_are_those_of_the_latest_run_of_the_file(base_of, source, options):
    base = base_of(seed=3, **{"match.steps": 2, "holdout": 0.25})
    more = hmnpack.append(base, source.only(["cat", "dog"]), **options)
    (edit,) = more.manifest.provenance.edits
    assert (edit.operation, edit.files) == ("append", (base.manifest.data_sha256,))
    old, new = edit.made
    for made, classes in ((old, NAMES[:2]), (new, NAMES[2:4])):
        assert (made.classes, made.recipe, made.seed, made.holdout) == (2, "smoke", 3, 0.25)
        assert made.config == {"match": {"steps": 2}}
        assert made.source.fingerprint == source.only(classes).train.fingerprint
        assert (made.source.classes, made.source.held_out) == (classes, 6)
    assert more.manifest.recipe is None
    assert not more.manifest.scores
    page = str(provenance_part(more.manifest).body)
    assert f"Append to</dt><dd><code>{base.manifest.data_sha256}" in page
    assert page.count("training images; recipe smoke, seed 3; fingerprint") == 2
    assert "made in several runs" in settings_part(more.manifest).body

    settings = {"match.steps": 3}
    grown = tensor_source((source.train.images[:24], LABELS[:24]), classes=["elk", "fox"])
    last = hmnpack.append(more, grown, settings=settings, **options)
    old_rows_are_equal(more, last)
    first, second = last.manifest.provenance.edits
    assert first == edit
    (made,) = second.made
    assert (made.recipe, made.seed, made.config) == ("smoke", 3, {"match": {"steps": 3}})
    assert second.files == (more.manifest.data_sha256,)


def test_normalisation_is_that_of_all_real_images(base_of, source, options):
    file = base_of()
    for names in (["cat", "dog"], ["elk", "fox"]):
        part = source.only(names[:1])
        images = torch.cat([part.train.images, 255 - part.train.images])
        if names[1] == "dog":
            images = source.only(names).train.images
        labels = torch.arange(2).repeat_interleave(12)
        file = hmnpack.append(file, tensor_source((images, labels), classes=names), **options)
    every = torch.cat([source.train.images, 255 - source.train.images[48:]]).double() / 255
    (mean,), (std,) = file.manifest.normalisation.mean, file.manifest.normalisation.std
    assert mean == pytest.approx(float(every.mean()), abs=1e-6)
    assert std == pytest.approx(float(every.std(correction=0)), rel=1e-3)


def test_over_budget_classes_are_pruned(base_of, source, options):
    base = base_of()
    settings = {"prune.strategy": "random"}
    part = source.only(NAMES[2:])
    plans = []
    more = hmnpack.append(base, part, settings=settings, on_plan=plans.append, **options)
    old_rows_are_equal(base, more)
    assert more.manifest.container.counts[2:] == plans[0].spec.counts
    other = hmnpack.append(base, part, **options)
    assert other.manifest.container == more.manifest.container
    assert other.manifest.data_sha256 != more.manifest.data_sha256


def test_paused_and_resumed_run_gives_the_same_bytes(base_of, source, options, tmp_path):
    base, part, other_base = base_of(), source.only(NAMES[2:]), base_of(seed=1)
    whole = hmnpack.append(base, part, **options)
    options["output"] = output = tmp_path / "more.hmn"
    pausing = RunOptions(device="cpu", resume=True, should_pause=lambda: True)
    for _ in range(4):
        with pytest.raises(Paused):
            hmnpack.append(base, part, **options | {"options": pausing})
    hmnpack.append(base, part, **options | {"options": RunOptions(device="cpu", resume=True)})
    assert output.read_bytes() == whole.to_bytes()

    output.unlink()
    with pytest.raises(Paused):
        hmnpack.append(base, part, **options | {"options": pausing})
    other = RunOptions(device="cpu", resume=True)
    with pytest.raises(BadSettings, match="belongs to another run"):
        hmnpack.append(other_base, part, **options | {"options": other})


def test_pixels_of_another_method_get_classes(source, options):
    images = source.only(NAMES[:2]).train.images[:, :, :8, :8]
    packed = hmnpack.pack(images.float() / 255, [0] * 12 + [1] * 12, ipc=12, classes=NAMES[:2])
    small = tensor_source((source.train.images[24:, :, :8, :8], LABELS[24:] - 2), classes=NAMES[2:])
    more = hmnpack.append(packed, small, 3, recipe="smoke", **options)
    old_rows_are_equal(packed, more)
    assert more.manifest.container.counts == (12, 12, 3, 3, 3)
    assert more.manifest.budget.bytes == 4 * 64 * (24 + 9)


def refused(error, said, *given, **named):
    with pytest.raises(error, match=said) as caught:
        hmnpack.append(*given, **named)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "changes", "error", "said"),
    [
        (["bee", "cat", "dog"], {}, BadData, r"already has class bee of .*--classes cat,dog$"),
        (["ant", "bee"], {}, BadData, "choose others with --classes"),
        (["cat"], {}, BadData, "has one class"),
        (
            NAMES[2:],
            {"settings": {"container.dtype": "F32"}},
            BadSettings,
            r"container\.dtype is fix",
        ),
        (NAMES[2:], {"settings": {"match.step": 1}}, BadSettings, "unknown setting 'match.step'"),
        (NAMES[2:], {"config": recipe_of("smoke")}, BadSettings, "give only one of them"),
        (NAMES[2:], {"ipc": 1}, BudgetTooSmall, "smallest ipc that works is 2"),
        (NAMES[2:], {"ipc": 10**6}, BadSettings, "lower the ipc"),
        (NAMES[2:], {"output": __file__}, OutputExists, "exists"),
        (NAMES[2:], {"options": UNPRUNED}, BadSettings, "append writes the finished file alone"),
    ],
)
def test_refusals(bundle_of, hmn, source, options, data, changes, error, said):
    file = bundle_of(hmn(classes=2, class_channels=18, image=IMAGE))
    refused(error, said, file, source.only(data), **{"recipe": "smoke"} | options | changes)


def test_other_images_and_containers_are_refused(
    bundle_of, hmn, linear_basis, hallucinator, source
):
    new = source.only(NAMES[2:])
    refused(BadData, "images are 1x16x16, but those of .* are 3x16x16", bundle_of(hmn()), new)
    for spec in (linear_basis(image=IMAGE), hallucinator(image=IMAGE, basis_channels=1)):
        said = r"nothing can be appended to .*hmnpack\.concat"
        refused(BadSettings, said, bundle_of(spec), new, recipe="smoke")


def test_command_appends_classes_of_a_folder(bundle_of, hmn, source, tmp_path):
    file = bundle_of(hmn(classes=2, image=IMAGE))
    file.save(tmp_path / "few.hmn")
    from PIL import Image

    for split in ("train", "test"):
        for number, (pixels, label) in enumerate(zip(source.train.images, LABELS, strict=True)):
            folder = tmp_path / "data" / split / NAMES[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[0].numpy()).save(folder / f"{number}.png")

    def run(*words):
        words = [str(word) for word in words]
        return CliRunner().invoke(main, words, prog_name="hmnpack")

    common = ("append", tmp_path / "few.hmn", tmp_path / "data", "-o", tmp_path / "more.hmn")
    common += ("--cache-dir", tmp_path / "cache", "--device", "cpu", "--recipe", "smoke")
    clash = run(*common)
    assert clash.exit_code == 3
    assert "already has the classes ant,bee of" in clash.output
    done = run(*common, "--classes", "cat,dog", "--ipc", 4)
    assert done.exit_code == 0, done.output
    assert "Appending to" in done.output
    shown = run("inspect", tmp_path / "more.hmn")
    assert "2 classes of 24 images of" in shown.output.replace("\n", " ")
    assert "recipe smoke, seed 0" in " ".join(shown.output.split())
    grown = hmnpack.bundle.read(tmp_path / "more.hmn")
    assert grown.manifest.classes == NAMES[:4]
    old_rows_are_equal(file, grown)
