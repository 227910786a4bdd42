"""Merging and splitting: the same images, in one file or in several."""

import numpy as np
import pytest
import torch

import hmnpack
from hmnpack.bundle import Bundle, inspect, read
from hmnpack.errors import BadSettings, OutputExists
from hmnpack.schema.pruning import Margins


def images_by_class(*bundles):
    """Return the decoded images of each class, as floats, those of the first bundle first."""
    found = {}
    for bundle in bundles:
        dataset = hmnpack.load(bundle)
        images, labels = dataset.tensors()
        for label, name in enumerate(dataset.classes):
            found.setdefault(name, []).append(images[labels == label])
    return {name: torch.cat(parts) for name, parts in found.items()}


def same_images(one, other):
    assert list(one) == list(other)
    for name, images in one.items():
        torch.testing.assert_close(images, other[name], rtol=0, atol=1e-6)


@pytest.fixture(params=["hmn", "no extractor", "eight bits", "images", "canvases"])
def whole(request, bundle_of, hmn, images, multi_formation):
    spec = {
        "hmn": hmn(classes=4, instances=(3, 1, 2, 5)),
        "no extractor": hmn(classes=4, instances=2, extractor_channels=None),
        "eight bits": hmn(classes=4, instances=(1, 2, 1, 1), dtype="I8"),
        "images": images(classes=4, instances=(1, 3, 2, 2)),
        "canvases": multi_formation(classes=4, instances=(4, 8, 4, 12)),
    }[request.param]
    margins = Margins(epochs=3, seeds=2, values=tuple(range(spec.images)))
    return bundle_of(spec, margins=margins)


def test_parts_have_the_images_of_their_classes(whole):
    parts = hmnpack.split(whole, ["dog", "ant"], ["cat"], "bee")
    assert [part.manifest.classes for part in parts] == [("dog", "ant"), ("cat",), ("bee",)]
    every = images_by_class(whole)
    for part in parts:
        again = Bundle.from_bytes(part.to_bytes())
        same_images(images_by_class(again), {n: every[n] for n in again.manifest.classes})
        assert again.manifest.source.classes == again.manifest.classes
        (edit,) = again.manifest.provenance.edits
        assert (edit.operation, edit.files) == ("split", (whole.manifest.data_sha256,))
    counts = dict(zip(whole.manifest.classes, whole.manifest.container.counts, strict=True))
    assert parts[0].manifest.container.counts == (counts["dog"], counts["ant"])
    starts = dict(zip(whole.manifest.classes, whole.manifest.container.offsets, strict=True))
    wanted = [starts[n] + i for n in ("dog", "ant") for i in range(counts[n])]
    assert list(parts[0].manifest.margins.values) == wanted


def test_merged_parts_are_the_whole_again(whole):
    parts = hmnpack.split(whole, ["ant"], ["bee", "cat", "dog"])
    merged = hmnpack.merge(parts)
    assert Bundle.from_bytes(merged.to_bytes()).manifest == merged.manifest
    assert merged.manifest.data_sha256 == whole.manifest.data_sha256
    for key in ("classes", "container", "margins", "normalisation"):
        assert getattr(merged.manifest, key) == getattr(whole.manifest, key)
    assert merged.manifest.source.fingerprint == whole.manifest.source.fingerprint
    assert merged.manifest.source.classes == whole.manifest.classes
    assert merged.manifest.provenance.edits[-1].operation == "merge"
    assert not merged.manifest.scores


def test_images_of_one_class_are_joined(whole):
    first, second = hmnpack.split(whole, ["ant", "bee"], ["cat", "ant"])
    merged = hmnpack.merge([first, second])
    assert merged.manifest.classes == ("ant", "bee", "cat")
    same_images(images_by_class(merged), images_by_class(first, second))
    arrays = hmnpack.concat([first, second]).arrays()[0]
    assert sorted(map(bytes, arrays)) == sorted(map(bytes, hmnpack.load(merged).arrays()[0]))


def test_budgets_add_up(bundle_of, images):
    drawn = [
        hmnpack.pack(torch.rand(n * len(names), 1, 4, 4), np.repeat(range(len(names)), n),
                     ipc=ipc, classes=names)
        for names, n, ipc in ((["a", "b"], 2, 2), (["c", "d"], 1, 4), (["e"], 1, 3))
    ]  # fmt: skip
    assert hmnpack.merge(drawn[:2]).manifest.budget.ipc == 3
    odd = hmnpack.merge(drawn).manifest.budget
    assert (odd.ipc, odd.bytes) == (3, 3 * 5 * 16 * 4)
    uneven = hmnpack.merge([drawn[0], drawn[2]]).manifest.budget
    assert (uneven.ipc, uneven.floats, uneven.bytes) == (None, None, (4 + 3) * 16 * 4)


def test_part_has_the_budget_that_it_needs(bundle_of, hmn):
    whole = bundle_of(hmn(classes=4))
    (part,) = hmnpack.split(whole, ["cat"])
    assert part.manifest.budget.ipc > whole.manifest.budget.ipc
    least = part.manifest.budget.ipc - 1
    assert part.manifest.ledger.floats > least * part.manifest.container.image.elements


def test_source_of_different_data_is_described_by_the_images(bundle_of, images):
    def packed(name, seed):
        drawn = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
        return hmnpack.pack(drawn, [0, 1, 0, 1], ipc=2, classes=[name, "x"], name=name)

    merged = hmnpack.merge([packed("a", 0), packed("b", 1)])
    pixels, labels = hmnpack.load(merged).arrays()
    alone = hmnpack.tensor_source((pixels.transpose(0, 3, 1, 2), labels))
    source = merged.manifest.source
    assert (source.name, source.train_images, source.held_out) == ("a + b", 8, 0)
    assert source.fingerprint == alone.train.fingerprint
    assert merged.manifest.recipe is None and source.classes is None


def test_other_decoders_are_refused(bundle_of, hmn, images, tmp_path):
    ours, theirs = bundle_of(hmn()), bundle_of(hmn(), 1, classes=("cat", "dog"))
    theirs.save(tmp_path / "b.hmn")
    for other in (tmp_path / "b.hmn", bundle_of(hmn(), 1), bundle_of(images(), classes=("x", "y"))):
        with pytest.raises(BadSettings, match=r"another decoder .* than bundle 1.*hmnpack\.concat"):
            hmnpack.merge([ours, other])
    with pytest.raises(BadSettings, match=r"b\.hmn has another decoder"):
        hmnpack.merge([ours, tmp_path / "b.hmn"])


def test_names_that_are_one_on_disk_are_refused(bundle_of, images):
    with pytest.raises(BadSettings, match="would be the same folder name"):
        hmnpack.merge([bundle_of(images()), bundle_of(images(), classes=("Ant", "x"))])


@pytest.mark.parametrize("files", [[], ["a.hmn"], "a.hmn"])
def test_less_than_two_files_are_refused(files):
    with pytest.raises(BadSettings, match="two or more"):
        hmnpack.merge(files)


def test_unknown_and_no_classes_are_refused(whole):
    with pytest.raises(BadSettings, match="unknown class 'dig'; did you mean dog"):
        hmnpack.split(whole, ["dig"])
    with pytest.raises(BadSettings, match="no classes; name one or more"):
        hmnpack.split(whole, ["dog"], [])


def test_commands_split_and_merge(whole, tmp_path):
    from click.testing import CliRunner

    from hmnpack.cli.group import main

    def run(*words):
        return CliRunner().invoke(main, [str(word) for word in words], prog_name="hmnpack")

    a, b, c, both = (tmp_path / name for name in ("w.hmn", "b.hmn", "c.hmn", "both.hmn"))
    whole.save(a)
    done = run("split", a, "--classes", "dog, ant", "-o", b, "--rest", c)
    assert done.exit_code == 0 and len(done.stdout.splitlines()) == 2
    assert inspect(b).classes == ("dog", "ant") and inspect(c).classes == ("bee", "cat")
    assert run("split", a, "--classes", "dog", "-o", b).exit_code == 2
    assert run("split", a, "--classes", "dog", "-o", both, "--rest", both).exit_code == 2
    done = run("merge", b, c, "-o", both)
    assert done.exit_code == 0, done.stderr
    same_images(images_by_class(read(both)), images_by_class(read(b), read(c)))
    with pytest.raises(OutputExists):
        hmnpack.merge([b, c], output=both)
    shown = run("inspect", both).stdout
    assert shown.count("of files with data_sha256") == 2  # split, then merged
    assert run("verify", both).exit_code == 0
    assert run("report", both, "-o", tmp_path / "a.html").exit_code == 0
