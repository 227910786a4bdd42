import sys
from dataclasses import dataclass, field, replace
from types import ModuleType, SimpleNamespace

import pytest
import torch

from hmnpack.errors import BadData, BadSettings, MissingExtra
from hmnpack.sources import open_source


class DatasetsError(Exception):
    """Raised by `datasets` if it finds data but cannot build them."""


@dataclass
class FakeSplit:
    """The part of `datasets.Dataset` that is used."""

    cells: list
    labels: list
    features: dict
    split: str
    encoded: bool = False
    _fingerprint: str = "1"
    column_names: list = field(default_factory=lambda: ["image", "label"])

    def cast_column(self, name, feature):
        assert (name, feature) == (self.column_names[0], "undecoded")
        return replace(self, encoded=True)

    def __getitem__(self, key):
        image, label = self.column_names
        if isinstance(key, str):
            return {label: self.labels}[key]
        assert self.encoded
        return {image: self.cells[key], label: self.labels[key]}


@pytest.fixture
def hub(monkeypatch, image_of, encode, tmp_path):
    """Install a fake `datasets` whose splits the test sets; it records requests."""
    module = ModuleType("datasets")
    module.requested, module.splits = [], {}

    def load_dataset(repository, config):
        module.requested.append((repository, config))
        if isinstance(module.splits, Exception):
            raise module.splits
        return module.splits

    def add(name, labels, dtype="int64", names=("ant", "bee")):
        cells = [{"bytes": encode(image_of(i)), "path": None} for i in range(len(labels))]
        feature = SimpleNamespace(dtype=dtype, names=list(names))
        module.splits[name] = FakeSplit(cells, labels, {"label": feature}, name)

    module.load_dataset, module.add = load_dataset, add
    module.exceptions = SimpleNamespace(DatasetsError=DatasetsError)
    module.config = SimpleNamespace(HF_DATASETS_CACHE=str(tmp_path / "hf"))
    module.Image = lambda decode: "decoded" if decode else "undecoded"
    monkeypatch.setitem(sys.modules, "datasets", module)
    return module


@pytest.mark.parametrize(
    ("spec", "requested"),
    [
        ("hf:me/bugs", ("me/bugs", None)),
        ("hf:me/bugs:large", ("me/bugs", "large")),
        ("hf:mnist", ("mnist", None)),
    ],
)
def test_hub_loads_repository_and_configuration(hub, options, spec, requested):
    hub.add("train", [0, 1, 1])
    hub.add("validation", [1])
    source = open_source(spec, options)
    assert hub.requested == [requested]
    assert (source.name, source.classes) == (spec, ("ant", "bee"))
    assert source.train.labels.tolist() == [0, 1, 1]
    assert source.test.labels.tolist() == [1]


def test_hub_reads_a_training_split_beside_a_damaged_test_split(hub, options):
    hub.add("train", [0, 1])
    hub.add("test", [1, 0])
    hub.splits["test"].cells[1] = {"bytes": b"no picture", "path": None}
    assert len(open_source("hf:me/bugs", options, needs_test=False).train) == 2
    with pytest.raises(BadData, match=r"cannot read row 1 of hf:me/bugs \(test\)"):
        open_source("hf:me/bugs", options)


def test_hub_reads_bytes_or_a_local_file(hub, options, image_of, tmp_path):
    hub.add("train", [0, 1])
    (tmp_path / "hf").mkdir()
    image_of(0).save(tmp_path / "hf" / "a.png")
    hub.splits["train"].cells[1] = {"bytes": None, "path": str(tmp_path / "hf" / "a.png")}
    images = open_source("hf:me/bugs", options).train.images
    assert torch.equal(images[0], images[1])


def test_hub_reads_no_local_file_outside_of_its_cache(hub, options, image_of, tmp_path):
    hub.add("train", [0, 1])
    image_of(0).save(tmp_path / "private.png")
    (tmp_path / "hf").mkdir()
    for path in (tmp_path / "private.png", tmp_path / "hf" / ".." / "private.png"):
        hub.splits["train"].cells[1] = {"bytes": None, "path": str(path)}
        with pytest.raises(BadData, match="which was not downloaded with the data"):
            open_source("hf:me/bugs", options)


def test_hub_does_not_depend_on_row_order(hub, options):
    hub.add("train", [0, 1, 1, 0])
    first = open_source("hf:me/bugs", options).train
    rows = hub.splits["train"]
    rows.cells, rows.labels, rows._fingerprint = rows.cells[::-1], rows.labels[::-1], "2"
    second = open_source("hf:me/bugs", options).train
    assert torch.equal(second.images, first.images)
    assert second.fingerprint == first.fingerprint


def test_hub_row_without_an_image_is_named(hub, options):
    hub.add("train", [0, 1])
    hub.splits["train"].cells[1] = {"bytes": None, "path": None}
    with pytest.raises(BadData, match=r"cannot read row 1 of hf:me/bugs \(train\)"):
        open_source("hf:me/bugs", options)


def test_hub_labels_without_names_are_numbered(hub, options):
    hub.add("train", [0, 1, 2], names=())
    assert open_source("hf:me/bugs", options).classes == ("0", "1", "2")


def test_hub_rejects_labels_that_are_not_integers(hub, options):
    hub.add("train", ["a", "b"], dtype="string")
    with pytest.raises(BadData, match=r"of hf:me/bugs \(train\) are string, not integers"):
        open_source("hf:me/bugs", options)


def test_hub_rejects_a_dataset_without_a_training_split(hub, options):
    hub.add("test", [0, 1])
    with pytest.raises(BadData, match="has no split named train: its splits are test"):
        open_source("hf:me/bugs", options)


@pytest.mark.parametrize("labels", [[-1, -1], [None, None], []])
def test_hub_leaves_out_an_unlabelled_split(hub, options, caplog, labels):
    hub.add("train", [0, 1])
    hub.add("test", labels)
    hub.add("validation", [1])
    assert open_source("hf:me/bugs", options).test.labels.tolist() == [1]
    assert caplog.messages[0].startswith("hf:me/bugs: split test is left out: it has no ")


def test_hub_leaves_out_a_split_without_the_label_column(hub, options, caplog):
    hub.add("train", [0, 1])
    hub.add("test", [0])
    hub.splits["test"].column_names = ["image"]
    assert open_source("hf:me/bugs", options).test is None
    assert caplog.messages == ["hf:me/bugs: split test is left out: it has no column label"]


def test_hub_leaves_out_unknown_splits(hub, options, caplog):
    for name in ("train", "extra", "unsupervised", "dev"):
        hub.add(name, [0, 1])
    assert len(open_source("hf:me/bugs", options).test) == 2
    assert caplog.messages[0].startswith("hf:me/bugs: left out extra, unsupervised: the splits")


def test_hub_reads_columns_of_other_names(hub, options):
    hub.add("train", [0, 1, 1])
    part = hub.splits["train"]
    label = SimpleNamespace(dtype="int64", names=["ant", "bee"], _type="ClassLabel")
    part.features = {"photo": SimpleNamespace(_type="Image"), "species": label}
    part.column_names = ["photo", "species"]
    source = open_source("hf:me/bugs", options)
    assert (source.classes, source.train.labels.tolist()) == (("ant", "bee"), [0, 1, 1])


def test_hub_reads_the_chosen_columns(hub, options):
    hub.add("train", [0, 1, 1])
    part = hub.splits["train"]
    part.features, part.column_names = {"kind": part.features["label"]}, ["photo", "kind"]
    with pytest.raises(BadData, match="are photo, kind; choose one with --image-column"):
        open_source("hf:me/bugs", options)
    chosen = replace(options, image_column="photo", label_column="kind")
    assert open_source("hf:me/bugs", chosen).train.labels.tolist() == [0, 1, 1]


def test_hub_rejects_splits_that_number_classes_differently(hub, options):
    hub.add("train", [0, 1])
    hub.add("test", [0, 1], names=["bee", "ant"])
    with pytest.raises(BadData, match="label 0 is 'bee' in test of hf:me/bugs but 'ant' in train"):
        open_source("hf:me/bugs", options)


def test_hub_opens_from_the_cache_the_second_time(hub, options, monkeypatch):
    hub.add("train", [0, 1])
    first = open_source("hf:me/bugs", options)
    hub.splits["train"].cells = None
    assert open_source("hf:me/bugs", options).train.fingerprint == first.train.fingerprint


@pytest.mark.parametrize(
    "error", [ConnectionError("no route\nand more"), ValueError("no config"), OSError("gated")]
)
def test_hub_fetch_error_is_one_line(hub, options, error):
    hub.splits = error
    with pytest.raises(BadData, match="cannot fetch hf:me/bugs") as caught:
        open_source("hf:me/bugs", options)
    assert "\n" not in str(caught.value)
    assert str(error).splitlines()[0] in str(caught.value)


def test_hub_rejects_an_empty_name(options):
    with pytest.raises(BadSettings, match="does not name a dataset: use hf:owner/name"):
        open_source("hf:", options)


def test_hub_without_the_library_names_the_extra(monkeypatch, options):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"pip install -e '\.\[hub\]'"):
        open_source("hf:me/bugs", options)
