"""Files whose parts are whole, and whose hashes are right, but which say what must not be."""

import json
import tracemalloc

import pytest

from hmnpack.bundle.checks import canonical_json, manifest_text, parse_manifest
from hmnpack.bundle.faults import (
    BadClassName,
    BadManifest,
    BadSize,
    LedgerMismatch,
    OverBudget,
    UnknownContainer,
    UnknownVersion,
)


@pytest.mark.parametrize("version", [0, 2, 99, -1, 1.0, True, "1", None, [1], 10**30])
def test_unknown_version(forge, refused, version):
    data = forge(lambda _, manifest: manifest.update(format_version=version))
    refused(data, UnknownVersion, "format version .*, hmnpack .* reads 1")


def test_the_version_is_asked_before_anything_else(forge, refused):
    def change(_, manifest):
        manifest.clear()
        manifest.update(format_version=2, all_new="yes")

    refused(forge(change), UnknownVersion, "format version 2")


@pytest.mark.parametrize("kind", ["hmn/2", "os.system", "__main__:run", "../x", "", "pickle"])
def test_unknown_container(forge, refused, kind):
    data = forge(lambda _, manifest: manifest["container"].update(kind=kind))
    refused(data, UnknownContainer, "hmn/1.*images/1")


@pytest.mark.parametrize("key", ["budget", "classes", "container", "data_sha256", "ledger"])
def test_missing_key(forge, refused, key):
    refused(forge(lambda _, manifest: manifest.pop(key)), BadManifest, f"key {key}: Field required")


def test_missing_hash(whole, refused):
    refused(whole.replace(b"manifest_sha256", b"manifest_sha999"), BadManifest, "manifest_sha256")


@pytest.mark.parametrize(("value", "said"), [(7, "not a string, but 7"), (None, "required")])
def test_hash_that_is_no_text(hmn_bundle, value, said):
    document = json.loads(manifest_text(hmn_bundle.manifest)) | {"manifest_sha256": value}
    with pytest.raises(BadManifest, match=f"key manifest_sha256: .*{said}"):
        parse_manifest(canonical_json(document))


def test_unknown_key_names_the_maker(forge, refused):
    def change(_, manifest):
        manifest["invented"] = 1
        manifest["provenance"]["hmnpack"] = "7.0.0"

    refused(forge(change), BadManifest, "key invented: Extra inputs.*made by hmnpack '7.0.0'")


@pytest.mark.parametrize(
    ("key", "value"), [("instances", "3"), ("instances", 3.0), ("grid", True), ("grid", None)]
)
def test_nothing_is_converted(forge, refused, key, value):
    data = forge(lambda _, manifest: manifest["container"].update({key: value}))
    refused(data, BadManifest, rf"key container\.hmn/1\.{key}: Input should be a valid integer")


@pytest.mark.parametrize("key", ["classes", "instances", "grid", "dataset_channels"])
@pytest.mark.parametrize("size", [0, -1, -(2**63), 2**31, 10**18])
def test_negative_and_absurd_sizes(forge, refused, key, size):
    data = forge(lambda _, manifest: manifest["container"].update({key: size}))
    refused(data, BadSize, rf"key container\.hmn/1\.{key}: Input should be")


def test_absurd_number_of_digits(forge, refused):
    data = forge(lambda _, manifest: manifest["container"].update(grid=10**4000))
    refused(data, BadSize, "grid")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            {"instances": 10_000_000, "image": {"channels": 3, "height": 32, "width": 32}},
            "decode to",
        ),
        ({"image": {"channels": 16, "height": 4096, "width": 4096}, "instances": 40}, "decode to"),
        ({"grid": 1, "image": {"channels": 3, "height": 99, "width": 1}}, "resized to 99"),
        ({"grid": 256, "decoder_channels": [1] * 8}, "a layer of one image"),
        ({"grid": 256, "decoder_channels": [64]}, "a layer's matrix"),
        ({"classes": 90_000, "instances": 1, "extractor_channels": 4096}, "layer of all classes"),
    ],
)
def test_expansion_bombs(forge, refused, change, match):
    data = forge(lambda _, manifest: manifest["container"].update(change))
    refused(data, BadSize, match)


def test_more_layers_than_are_read(forge, refused):
    data = forge(lambda _, manifest: manifest["container"].update(decoder_channels=[1] * 9))
    refused(data, BadSize, "decoder_channels")


def test_the_ledger_of_another_container(forge, refused):
    data = forge(lambda _, manifest: manifest["container"].update(instances=4))
    refused(data, LedgerMismatch, "the ledger is not that of the container")


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [("elements", 47, "47 elements"), ("bytes", 1, "1 bytes"), ("name", "../x", "name")],
)
def test_ledger_rows_that_do_not_add_up(forge, refused, key, value, match):
    data = forge(lambda _, manifest: manifest["ledger"]["rows"][0].update({key: value}))
    refused(data, BadManifest, match)


def test_two_rows_of_one_name(forge, refused):
    data = forge(
        lambda _, manifest: manifest["ledger"]["rows"].append(manifest["ledger"]["rows"][0])
    )
    refused(data, BadManifest, "same name")


def test_more_rows_than_are_read(forge, refused):
    def change(_, manifest):
        row = manifest["ledger"]["rows"][0]
        manifest["ledger"]["rows"] = [row | {"name": f"x{i}"} for i in range(257)]

    refused(forge(change), BadManifest, "at most 256")


def test_over_budget(forge, refused, hmn, image_shape, bundle_of):
    data = bundle_of(hmn(image=image_shape(3, 4, 4))).to_bytes()

    def change(_, manifest):
        assert manifest["budget"]["ipc"] > 1
        manifest["budget"] = {"ipc": 1, "floats": 96, "bytes": 384}

    refused(forge(change, data), OverBudget, "over budget: 1048 numbers in 4192 bytes .* 96 in 384")


@pytest.mark.parametrize("key", ["floats", "bytes", "ipc"])
def test_a_budget_that_does_not_add_up(forge, refused, key):
    data = forge(lambda _, manifest: manifest["budget"].update({key: 2 * manifest["budget"][key]}))
    refused(data, BadManifest, "the budget is not that of")


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
def test_class_names(forge, refused, name, match):
    data = forge(lambda _, manifest: manifest.update(classes=["ant", name]))
    refused(data, BadClassName if "\ud800" not in name else BadManifest, match)


@pytest.mark.parametrize(
    "names",
    [("cat", "cat"), ("cat", "CAT"), ("straße", "STRASSE"), ("ﬁsh", "fish"), ("é", "e\u0301")],
)
def test_names_that_are_one_on_disk(forge, refused, names):
    data = forge(lambda _, manifest: manifest.update(classes=list(names)))
    refused(data, BadClassName, "are one on disk")


@pytest.mark.parametrize("names", [["ant"], ["ant", "bee", "cat"]])
def test_as_many_names_as_classes(forge, refused, names):
    data = forge(lambda _, manifest: manifest.update(classes=names))
    refused(data, BadManifest, f"{len(names)} class names for 2 classes")


def margins(*values):
    return {"epochs": 2, "seeds": 1, "values": list(values)}


@pytest.mark.parametrize("values", [[], [0] * 5, [0] * 7])
def test_as_many_margins_as_images(forge, refused, values):
    data = forge(lambda _, manifest: manifest.update(margins=margins(*values)))
    refused(data, BadManifest, "margins for 6 images|at least 1 item")


@pytest.mark.parametrize("value", [10_001, -10_001, 0.5, "1", None, True])
def test_margins_out_of_range(forge, refused, value):
    data = forge(lambda _, manifest: manifest.update(margins=margins(value, *[0] * 5)))
    refused(data, BadManifest, r"key margins\.values\.0: Input should be")


def test_more_margins_than_are_read(forge, refused):
    data = forge(lambda _, manifest: manifest.update(margins=margins(*[0] * 100_001)))
    refused(data, BadManifest, "at most 100000")


@pytest.mark.parametrize(("mean", "std"), [([0.5], [0.5]), ([0.5] * 3, [0.5, 0.5, 0.0])])
def test_normalisation(forge, refused, mean, std):
    data = forge(lambda _, manifest: manifest.update(normalisation={"mean": mean, "std": std}))
    refused(data, BadManifest, "normalisation")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("classes",), [1] * 300_000),
        (("scores",), [{}] * 200_000),
        (("ledger", "rows"), [{}] * 200_000),
        (("ledger", "rows"), [[[[[]]]]] * 80_000),
        (("margins",), margins(*[None] * 100_000)),
        (("provenance", "prunings"), [{}] * 200_000),
    ],
)
@pytest.mark.slow
def test_a_flood_of_faults_takes_little_memory(forge, refused, path, value):
    def change(_, manifest):
        for key in path[:-1]:
            manifest = manifest[key]
        manifest[path[-1]] = value

    data = forge(change)
    tracemalloc.start()
    try:
        refused(data, BadManifest, "manifest key")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 128 * 2**20


@pytest.mark.parametrize("key", ["epochs", "seeds"])
def test_integers_that_nothing_can_be_computed_with(forge, refused, key):
    huge = margins(1, 2, 3, 4, 5, 6) | {key: 10**400}
    data = forge(lambda _, manifest: manifest.update(margins=huge))
    refused(data, BadManifest, rf"manifest key margins\.{key}: an integer of more than 64 bits")


def test_numbers_beyond_all_numbers(forge, refused):
    def change(_, manifest):
        manifest["normalisation"]["mean"][0] = 0.125

    data = forge(change)
    assert data.count(b"[0.125,") == 1
    refused(data.replace(b"[0.125,", b"[1e999,"), BadManifest, "not JSON .*1e999")
