"""A test split that cannot be read stops only what needs it, for every kind of dataset."""

import re
import shutil

import pytest
import torch

import hmnpack
from hmnpack.errors import BadData
from hmnpack.sources import SourceOptions, open_source


def unreadable_image(root, _=None):
    next(root.glob("test/a/*")).write_bytes(b"\x89PNG\r\n\x1a\n")
    return "cannot read test/a/000.png"


def unknown_class(root, _):
    (root / "test" / "a").rename(root / "test" / "other")
    return "class 'other' is in"


def another_size(root, image_of):
    image_of(size=(9, 9)).save(next(root.glob("test/b/*")))
    return "test/b/000.png is 9x9 pixels but train/a/000.png is 6x4"


def unreadable_folder(root, _):
    shutil.rmtree(root / "test" / "a")
    (root / "test" / "a").symlink_to("a")  # a link to itself
    return "test/a (Too many levels of symbolic links)"


FOLDERS = [unreadable_image, unknown_class, another_size, unreadable_folder]
PARQUET = {
    "truncated": "cannot read",
    "picture": "cannot read row 1 of test.parquet",
    "label": "label 2 of test is not a class",
    "names": "label 0 is 'b' in",
}


@pytest.fixture
def folder(request, make_folder, image_of):
    root = make_folder(train={"a": 2, "b": 2}, test={"a": 1, "b": 1})
    return root, request.param(root, image_of)


@pytest.fixture
def parquet(request, tmp_path, make_parquet, image_of, encode):
    payloads = [encode(image_of(seed)) for seed in range(2)]
    files = {name: tmp_path / "set" / f"{name}.parquet" for name in ("train", "test")}
    make_parquet(files["train"], payloads, [0, 1], ["a", "b"])
    file = files["test"]
    labels = [0, 2] if request.param == "label" else [0, 1]
    names = ["b", "a"] if request.param == "names" else ["a", "b"]
    bad = [payloads[0], b"no picture"] if request.param == "picture" else payloads
    make_parquet(file, bad, labels, names)
    if request.param == "truncated":
        file.write_bytes(file.read_bytes()[:-9])
    return file.parent, PARQUET[request.param]


@pytest.mark.parametrize("folder", FOLDERS, indirect=True)
def test_fault_in_a_folder_stops_only_what_needs_it(folder, options, caplog):
    stops_only_what_needs_it(*folder, options, caplog)


@pytest.mark.parametrize("parquet", PARQUET, indirect=True)
def test_fault_in_a_parquet_file_stops_only_what_needs_it(parquet, options, caplog):
    stops_only_what_needs_it(*parquet, options, caplog)


def stops_only_what_needs_it(root, message, options, caplog):
    for _ in range(2):  # the cache must not turn it into a dataset without a test split
        caplog.clear()
        source = open_source(root, options, needs_test=False)
        assert (len(source.train) > 1, source.test) == (True, None)
        assert [message in said for said in caplog.messages] == [True]
        with pytest.raises(BadData, match=re.escape(message)):
            open_source(root, options)


def test_training_split_is_the_same_without_the_damage(make_folder, options):
    root = make_folder(train={"a": 2, "b": 2}, test={"a": 1, "b": 1})
    whole = open_source(root, options)
    unreadable_image(root)
    assert open_source(root, options, needs_test=False).train.fingerprint == (
        whole.train.fingerprint
    )


@pytest.mark.parametrize("folder", FOLDERS[:2], indirect=True)
def test_plan_and_pack_need_no_test_split(folder, options, monkeypatch):
    root, message = folder
    monkeypatch.setenv("HMNPACK_CACHE", str(options.cache_dir))
    plan = hmnpack.plan(root, 2, recipe="smoke", device="cpu", source_options=options)
    assert message in str(plan.source.test_problem)
    images = torch.zeros(2, 3, 4, 6)
    bundle = hmnpack.pack(images, [0, 1], ipc=1, data=root)
    assert bundle.manifest.source.fingerprint == plan.source.train.fingerprint
    for source in (root, plan.source):
        with pytest.raises(BadData, match=re.escape(message)):
            hmnpack.evaluate(bundle, source, source_options=options)


@pytest.mark.parametrize(("rank", "count"), [("0", 1), ("1", 0)])
def test_first_rank_alone_warns(make_folder, options, caplog, monkeypatch, rank, count):
    root = make_folder(train={"a": 2, "b": 2}, test={"a": 1, "b": 1})
    unreadable_image(root)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    open_source(root, options, needs_test=False)
    assert len(caplog.messages) == count


def test_damage_in_the_training_split_stops_everything(make_folder):
    root = make_folder(train={"a": 2, "b": 2}, test={"a": 1, "b": 1})
    next(root.glob("train/a/*")).write_bytes(b"")
    with pytest.raises(BadData, match="cannot read train/a/000"):
        open_source(root, SourceOptions(), needs_test=False)
