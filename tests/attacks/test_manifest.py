"""Files with correct structure and hashes, but an invalid manifest."""

import json
import re
import tracemalloc

import pytest

from hmnpack.bundle import inspect
from hmnpack.bundle.checks import manifest_text, parse_manifest
from hmnpack.bundle.faults import (
    BadClassName,
    BadManifest,
    BadSize,
    LedgerMismatch,
    OverBudget,
    UnknownLabels,
    UnknownVersion,
)
from hmnpack.schema.manifest import Edit, Made
from hmnpack.schema.opaque import canonical_json
from hmnpack.schema.pruning import Pruning

SHAPE = {"channels": 3, "height": 32, "width": 32}


@pytest.mark.parametrize("version", [0, 2, 99, -1, 1.0, True, "1", None, [1], 10**30])
def test_unknown_version(forge, rejected, version):
    data = forge(lambda _, manifest: manifest.update(format_version=version))
    rejected(data, UnknownVersion, "format version .*, but hmnpack .* only reads version 1")


def test_version_is_checked_first(forge, rejected):
    def change(_, manifest):
        manifest.clear()
        manifest.update(format_version=2, all_new="yes")

    rejected(forge(change), UnknownVersion, "format version 2")


@pytest.mark.parametrize(
    "kind", ["os.system", "__main__:run", "../x", "", "pickle", "HMN/1", "x/0"]
)
def test_container_with_an_invalid_name(forge, rejected, kind):
    data = forge(lambda _, manifest: manifest["container"].update(kind=kind))
    rejected(data, BadManifest, r"key container\.other\.kind: String should match pattern")


@pytest.mark.parametrize("labels", [{"kind": "soft/1", "names": []}, {}, "soft", [1], 0])
def test_labels_of_an_unknown_kind(forge, rejected, labels):
    data = forge(lambda _, manifest: manifest.update(labels=labels))
    rejected(
        data, UnknownLabels, "manifest: hmnpack .* does not support labels of kind .*newer version"
    )


@pytest.mark.parametrize(
    "key",
    ["budget", "classes", "container", "data_sha256", "ledger", "scores"],
)
def test_missing_key(forge, rejected, key):
    rejected(
        forge(lambda _, manifest: manifest.pop(key)), BadManifest, f"key {key}: Field required"
    )


@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("container", "dtype"),
        ("container", "kind"),
        ("provenance", "prunings"),
        ("source", "skipped"),
        ("budget", "floats"),
    ],
)
def test_missing_key_of_a_part(forge, rejected, part, key):
    """Some keys have defaults in the models, but a file must contain them."""
    data = forge(lambda _, manifest: manifest[part].pop(key))
    rejected(
        data,
        BadManifest,
        "Field required|should match pattern|valid string|the budget does not equal",
    )


@pytest.mark.parametrize("key", ["config", "recipe", "seed", "holdout", "margins", "labels"])
def test_null_is_rejected(forge, rejected, key):
    data = forge(lambda _, manifest: manifest.update({key: None}))
    rejected(data, BadManifest, f"manifest key {key}: null is not allowed; omit the key")


def test_null_within_a_part(forge, rejected):
    data = forge(lambda _, manifest: manifest["source"].update(size=None))
    rejected(data, BadManifest, r"manifest key source\.size: null is not allowed")


@pytest.mark.parametrize(
    "changes",
    [
        {"skipped": 3},
        {"skipped": {"unreadable": 0}},
        {"skipped": {"<b>": 1}},
        {"skipped": {f"k{i}": 1 for i in range(17)}},
        {"size": 0},
        {"size": 5000},
        {"test_split": {"part": 1.0, "seed": 0}},
        {"test_split": {"part": 0.1}},
        {"classes": []},
        {"classes": ["", "b"]},
        {"test_split": {"part": 0.1, "seed": 0, "more": 1}},
        {"train_images": 0},
        {"more": 1},
    ],
)
def test_facts_of_the_data(forge, rejected, changes):
    data = forge(lambda _, manifest: manifest["source"].update(changes))
    rejected(data, BadManifest, rf"key source\.{next(iter(changes))}")


def test_chosen_classes_are_as_many_as_the_classes(forge, rejected):
    data = forge(lambda _, manifest: manifest["source"].update(classes=["one too few"]))
    rejected(data, BadManifest, "1 names of chosen classes for 2 classes")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("recipe", ""),
        ("recipe", 1),
        ("seed", -1),
        ("seed", 0.0),
        ("holdout", 1.0),
        ("holdout", "x"),
    ],
)
def test_recipe_seed_and_holdout(forge, rejected, key, value):
    data = forge(lambda _, manifest: manifest.update({key: value}))
    rejected(data, BadManifest, f"key {key}: ")


def test_missing_hash(whole, rejected):
    rejected(whole.replace(b"manifest_sha256", b"manifest_sha999"), BadManifest, "manifest_sha256")


@pytest.mark.parametrize(("value", "said"), [(7, "not a string: 7"), (None, "required")])
def test_hash_that_is_not_a_string(hmn_bundle, value, said):
    document = json.loads(manifest_text(hmn_bundle.manifest)) | {"manifest_sha256": value}
    with pytest.raises(BadManifest, match=f"key manifest_sha256: .*{said}"):
        parse_manifest(canonical_json(document))


def test_unknown_key_names_the_maker(forge, rejected):
    def change(_, manifest):
        manifest["invented"] = 1
        manifest["provenance"]["hmnpack"] = "7.0.0"

    rejected(forge(change), BadManifest, "key invented: Extra inputs.*made by hmnpack '7.0.0'")


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("instances", "3", "instances.number"),
        ("instances", 3.0, "instances.number"),
        ("instances", True, "instances.number"),
        ("instances", None, "instances.number"),
        ("instances", {"0": 3, "1": 3}, "instances.number"),
        ("instances", [3.0, 3], "instances.list.0"),
        ("instances", [4, True], "instances.list.1"),
        ("instances", [4, "2"], "instances.list.1"),
        ("instances", [4, [2]], "instances.list.1"),
        ("grid", True, "grid"),
        ("grid", None, "grid"),
    ],
)
def test_types_are_not_converted(forge, rejected, key, value, place):
    data = forge(lambda _, manifest: manifest["container"].update({key: value}))
    place = re.escape(f"container.hmn/1.{place}")
    rejected(data, BadManifest, f"key {place}: Input should be a valid integer")


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("classes", "classes"),
        ("instances", "instances.number"),
        ("grid", "grid"),
        ("dataset_channels", "dataset_channels"),
    ],
)
@pytest.mark.parametrize("size", [0, -1, -(2**63), 2**31, 10**18])
def test_negative_and_absurd_sizes(forge, rejected, key, place, size):
    data = forge(lambda _, manifest: manifest["container"].update({key: size}))
    rejected(data, BadSize, rf"key container\.hmn/1\.{re.escape(place)}: Input should be")


@pytest.mark.parametrize("size", [0, -1, -(2**63), 10_000_001, 10**18])
def test_negative_and_absurd_counts_of_a_class(forge, rejected, size):
    data = forge(lambda _, manifest: manifest["container"].update(instances=[3, size]))
    rejected(data, BadSize, r"key container\.hmn/1\.instances\.list\.1: Input should be")


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([4], "all classes have 4 images; write a single integer"),
        ([3, 3], "all classes have 3 images; write a single integer"),
        ([], "at least 1 item"),
        ([1, 2, 3], "instances: 3 entries for 2 classes"),
    ],
)
def test_counts_that_do_not_match_the_classes(forge, rejected, counts, said):
    data = forge(lambda _, manifest: manifest["container"].update(instances=counts))
    rejected(data, BadManifest, said)


def test_more_counts_than_the_maximum_of_classes(forge, rejected):
    counts = [1] * 100_000 + [2]
    data = forge(lambda _, manifest: manifest["container"].update(instances=counts))
    rejected(data, BadSize, r"instances\.list: .*at most 100000 items")


def test_counts_that_differ_from_the_stored_images(forge, rejected, tmp_path):
    """Six images are stored: counts of 4 + 2 are valid, 4 + 3 are not."""
    data = forge(lambda _, manifest: manifest["container"].update(instances=[4, 3]))
    rejected(data, LedgerMismatch, "the ledger does not match the container")

    def ledger_too(_, manifest):
        manifest["container"].update(instances=[4, 3])
        row = manifest["ledger"]["rows"][2]
        row.update(shape=[7, *row["shape"][1:]], bytes=7 * 64)

    rejected(forge(ledger_too), LedgerMismatch, r"memory\.instance' has shape \[6,")
    whole = tmp_path / "whole.hmn"
    whole.write_bytes(forge(lambda _, manifest: manifest["container"].update(instances=[4, 2])))
    assert inspect(whole, verify=True).container.counts == (4, 2)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([3, 3], r"prunings\.0\.instances\.list: all classes have 3 images"),
        ([0, 3], r"prunings\.0\.instances\.list\.0: Input should be"),
        ([True, 3], r"prunings\.0\.instances\.list\.0: Input should be"),
        (0, r"prunings\.0\.instances\.number: Input should be"),
        ([4, 3, 5], "prunings: 3 entries for 2 classes"),
    ],
)
def test_pruning_with_invalid_counts(forge, rejected, bundle_of, images, counts, said):
    pruning = Pruning(strategy="none", seed=0, instances=(4, 3), held_out=0)
    made = bundle_of(images()).manifest.provenance.model_copy(update={"prunings": (pruning,)})
    whole = bundle_of(images(), provenance=made).to_bytes()

    def change(_, manifest):
        manifest["provenance"]["prunings"][0]["instances"] = counts

    rejected(forge(change, whole), BadManifest, said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": 0}, r"made\.0\.classes: Input should be greater"),
        ({"source": {"name": "x"}}, r"made\.0\.source\.fingerprint: Field required"),
        ({"seed": -1}, r"made\.0\.seed: Input should be greater"),
        ({"config": [1]}, r"made\.0\.config: Input should be an object"),
        ({"beta": 0.5}, r"made\.0\.beta: Extra inputs"),
        (None, r"made: Tuple should have at least 1 item"),
    ],
)
def test_appended_classes_that_were_made_in_an_invalid_way(
    forge, rejected, bundle_of, images, changes, said
):
    old = bundle_of(images()).manifest
    made = Made(classes=2, source=old.source, recipe="fast", seed=0)
    edit = Edit(operation="append", files=("0" * 64,), made=(made,))
    provenance = old.provenance.model_copy(update={"edits": (edit,)})
    whole = bundle_of(images(), provenance=provenance).to_bytes()

    def change(_, manifest):
        (edit,) = manifest["provenance"]["edits"]
        edit["made"] = [] if changes is None else [edit["made"][0] | changes]

    rejected(forge(change, whole), BadManifest, said)


def test_absurd_number_of_digits(forge, rejected):
    data = forge(lambda _, manifest: manifest["container"].update(grid=10**4000))
    rejected(data, BadSize, "grid")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            {"instances": 10_000_000, "image": SHAPE},
            "decode to",
        ),
        ({"image": {"channels": 16, "height": 4096, "width": 4096}, "instances": 40}, "decode to"),
        ({"grid": 1, "image": {"channels": 3, "height": 99, "width": 1}}, "resized to 99"),
        ({"grid": 256, "decoder_channels": [1] * 8}, "a decoder layer of one image"),
        ({"grid": 256, "decoder_channels": [64]}, "a decoder layer's matrix"),
        ({"classes": 90_000, "instances": 1, "extractor_channels": 4096}, "layer of all classes"),
        ({"instances": [1, 10_000_000], "image": SHAPE}, "10000001 images would decode to"),
    ],
)
def test_expansion_bombs(forge, rejected, change, match):
    data = forge(lambda _, manifest: manifest["container"].update(change))
    rejected(data, BadSize, match)


def test_too_many_layers(forge, rejected):
    data = forge(lambda _, manifest: manifest["container"].update(decoder_channels=[1] * 9))
    rejected(data, BadSize, "decoder_channels")


def test_ledger_of_another_container(forge, rejected):
    data = forge(lambda _, manifest: manifest["container"].update(instances=4))
    rejected(data, LedgerMismatch, "the ledger does not match the container")


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("bytes", 1, "1 bytes"),
        ("name", "../x", "name"),
        ("role", "<b>", "role"),
        ("dtype", "f32", "dtype"),
        ("elements", 48, "Extra inputs"),
    ],
)
def test_ledger_rows_that_do_not_add_up(forge, rejected, key, value, match):
    data = forge(lambda _, manifest: manifest["ledger"]["rows"][0].update({key: value}))
    rejected(data, BadManifest, match)


def test_ledger_rows_with_the_same_name(forge, rejected):
    data = forge(
        lambda _, manifest: manifest["ledger"]["rows"].append(manifest["ledger"]["rows"][0])
    )
    rejected(data, BadManifest, "same name")


def test_too_many_ledger_rows(forge, rejected):
    def change(_, manifest):
        row = manifest["ledger"]["rows"][0]
        manifest["ledger"]["rows"] = [row | {"name": f"x{i}"} for i in range(257)]

    rejected(forge(change), BadManifest, "at most 256")


def test_over_budget(forge, rejected, hmn, image_shape, bundle_of):
    data = bundle_of(hmn(image=image_shape(3, 4, 4))).to_bytes()

    def change(_, manifest):
        assert manifest["budget"]["ipc"] > 1
        manifest["budget"] = {"ipc": 1, "floats": 96, "bytes": 384}

    rejected(
        forge(change, data), OverBudget, "over budget: 1048 floats are stored, the budget allows 96"
    )


def test_over_a_budget_of_bytes(forge, rejected, hmn_bundle):
    stored = hmn_bundle.manifest.ledger.bytes
    data = forge(lambda _, manifest: manifest.update(budget={"bytes": stored - 1}))
    rejected(
        data, OverBudget, f"over budget: {stored} bytes are stored, the budget allows {stored - 1}"
    )


def test_a_budget_of_bytes_has_no_floats(forge, rejected):
    data = forge(lambda _, manifest: manifest["budget"].pop("ipc"))
    rejected(data, BadManifest, "the budget has floats but no ipc")


@pytest.mark.parametrize("key", ["floats", "bytes", "ipc"])
def test_a_budget_that_does_not_add_up(forge, rejected, key):
    data = forge(lambda _, manifest: manifest["budget"].update({key: 2 * manifest["budget"][key]}))
    rejected(data, BadManifest, "the budget does not equal")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("../../x", "path separator"),
        ("/etc/x", "path separator"),
        ("..", "starts or ends with"),
        (".hidden", "starts or ends with"),
        ("C:\\x", "path separator"),
        ("", "is empty"),
        (" ", "is empty"),
        ("a ", "starts or ends with"),
        ("x" * 300, "longer than 200 bytes"),
        ("é" * 101, "longer than 200 bytes"),
        ("a\nb", "control"),
        ("a\0", "control"),
        ("\x1b[31mred", "control"),
        ("\u202egnp.exe", "control"),
        ("a\u2028b", "control"),
        ("a\ud800", "control|surrogate|canonical|JSON"),
    ],
)
def test_class_names(forge, rejected, name, match):
    data = forge(lambda _, manifest: manifest.update(classes=["ant", name]))
    rejected(data, BadClassName if "\ud800" not in name else BadManifest, match)


@pytest.mark.parametrize(
    "names",
    [("cat", "cat"), ("cat", "CAT"), ("straße", "STRASSE"), ("ﬁsh", "fish"), ("é", "e\u0301")],
)
def test_class_names_that_are_equal_on_disk(forge, rejected, names):
    data = forge(lambda _, manifest: manifest.update(classes=list(names)))
    rejected(data, BadClassName, "would be the same folder name")


@pytest.mark.parametrize("names", [["ant"], ["ant", "bee", "cat"]])
def test_number_of_class_names_differs_from_the_classes(forge, rejected, names):
    data = forge(lambda _, manifest: manifest.update(classes=names))
    rejected(data, BadManifest, f"{len(names)} class names for 2 classes")


def margins(*values):
    return {"epochs": 2, "seeds": 1, "values": list(values)}


@pytest.mark.parametrize("values", [[], [0] * 5, [0] * 7])
def test_number_of_margins_differs_from_the_images(forge, rejected, values):
    data = forge(lambda _, manifest: manifest.update(margins=margins(*values)))
    rejected(data, BadManifest, "margins for 6 images|at least 1 item")


@pytest.mark.parametrize("value", [10_001, -10_001, 0.5, "1", None, True])
def test_margins_out_of_range(forge, rejected, value):
    data = forge(lambda _, manifest: manifest.update(margins=margins(value, *[0] * 5)))
    rejected(data, BadManifest, r"key margins\.values\.0: Input should be")


def test_too_many_margins(forge, rejected):
    data = forge(lambda _, manifest: manifest.update(margins=margins(*[0] * 100_001)))
    rejected(data, BadManifest, "at most 100000")


@pytest.mark.parametrize(("mean", "std"), [([0.5], [0.5]), ([0.5] * 3, [0.5, 0.5, 0.0])])
def test_normalisation(forge, rejected, mean, std):
    data = forge(lambda _, manifest: manifest.update(normalisation={"mean": mean, "std": std}))
    rejected(data, BadManifest, "normalisation")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("classes",), [1] * 300_000),
        (("scores",), [{}] * 200_000),
        (("ledger", "rows"), [{}] * 200_000),
        (("ledger", "rows"), [[[[[]]]]] * 80_000),
        (("margins",), margins(*[None] * 100_000)),
        (("container", "instances"), [None] * 200_000),
        (("provenance", "prunings"), [{}] * 200_000),
    ],
)
@pytest.mark.slow
def test_many_validation_errors_take_little_memory(forge, rejected, path, value):
    def change(_, manifest):
        for key in path[:-1]:
            manifest = manifest[key]
        manifest[path[-1]] = value

    data = forge(change)
    tracemalloc.start()
    try:
        rejected(data, BadManifest, "manifest key")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 128 * 2**20


@pytest.mark.parametrize("key", ["epochs", "seeds"])
def test_integers_over_64_bits(forge, rejected, key):
    huge = margins(1, 2, 3, 4, 5, 6) | {key: 10**400}
    data = forge(lambda _, manifest: manifest.update(margins=huge))
    rejected(data, BadManifest, rf"manifest key margins\.{key}: integer does not fit into 64 bits")


def test_numbers_that_overflow_binary64(forge, rejected):
    def change(_, manifest):
        manifest["normalisation"]["mean"][0] = 0.125

    data = forge(change)
    assert data.count(b"[0.125,") == 1
    rejected(data.replace(b"[0.125,", b"[1e999,"), BadManifest, "not JSON .*1e999")
