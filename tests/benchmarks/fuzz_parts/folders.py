"""Folders of images: layouts, names, kinds of files, damage, litter, links."""

import io
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from unicodedata import normalize

import pyarrow
from fuzz_parts.names import ODD, draw_names
from fuzz_parts.pictures import FORMS, Form, damaged, draw_code, encoded, unreadable
from fuzz_parts.truth import Picture, State, Truth, problems_of_pictures
from pyarrow import parquet

TESTS = ("test", "validation", "valid", "val", "dev", "eval")
"""Names of test splits in order of preference, as GUIDE.md lists them."""

TARGETS = "targets.parquet.d"
"""Folder of the files that links lead to; no split."""

_LITTER = (".DS_Store", "._1.png", "Thumbs.db", "desktop.ini", "~$a.png", ".hidden.jpg")
_LITTER_FOLDERS = ("@eaDir", "__MACOSX", ".git", ".ipynb_checkpoints", "#recycle")
_OTHERS = {
    **{"notes.txt": "txt", "a.heicx": "heicx", "photo.CR2": "cr2", "labels.csv": "csv"},
    **{"README": "no-suffix", "a.": "no-suffix", "x.7z": "other", "b.\u00e9": "other"},
    **{"anim.svg": "svg", "movie.mp4": "mp4", "copy.png.bak": "bak", "x.unreadable": "other"},
}
"""Names of files that are no images -> the reason by which they are counted."""
_BESIDE = ("README.md", "labels.csv", "metadata.parquet", "train.txt", ".gitattributes", "test.zip")
"""Names of files beside the splits, which change nothing."""


def _table() -> bytes:
    file = io.BytesIO()
    parquet.write_table(pyarrow.table({"file_name": ["a.png"], "caption": ["an ant"]}), file)
    return file.getvalue()


_TABLE = _table()


@dataclass(frozen=True)
class Style:
    """How unusual a folder is; each a probability, or a choice for the whole folder.

    Attributes:
        forms: Names of the forms of its files.
        sizes: Widths and heights of its images.
        odd: Odd class names.
        bad: Unreadable images.
        maybe: Damaged images.
        empty: Classes without images.
        litter: Files of other kinds, per folder.
        nested: Images in subfolders and behind links.
    """

    forms: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    odd: float
    bad: float
    maybe: float
    empty: float
    litter: float
    nested: float


def draw_style(draw: Random) -> Style:
    """Return a style; most of its faults are rare, so that many folders are accepted."""
    sides = [draw.choice((8, 9, 12, 16, 17, 32)) for _ in range(4)]
    sizes = ((sides[0], sides[1]), (sides[2], sides[3]))[: 1 if draw.random() < 0.75 else 2]
    return Style(
        forms=tuple(draw.sample(list(FORMS), draw.choice((1, 1, 2, 4)))),
        sizes=sizes,
        odd=draw.choice((0, 0.2, 0.8)),
        bad=draw.choice((0, 0, 0.15)),
        maybe=draw.choice((0, 0, 0, 0.15)),
        empty=draw.choice((0, 0, 0, 0.2)),
        litter=draw.choice((0, 0.3, 0.9)),
        nested=draw.choice((0, 0, 0.4)),
    )


class Writer:
    """Writes the folder of one case, and notes what it puts in.

    Attributes:
        skipped: Reason -> number of files that are no images, in the splits that are used.
    """

    def __init__(self, draw: Random, root: Path, style: Style) -> None:
        self.draw, self.root, self.style = draw, root, style
        self.skipped = Counter[str]()

    def split(self, name: str, classes: list[str], *, all_needed: bool) -> list[Picture]:
        """Write a split and return its pictures."""
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        pictures = []
        for label in classes:
            below = folder / label
            below.mkdir(exist_ok=True)
            empty = self.draw.random() < self.style.empty
            count = 0 if empty else self.draw.choice((1, 2, 3, 5))
            pictures += [self._picture(below, label, index) for index in range(count)]
            if not empty or not all_needed:
                self._litter(below)
        if self.draw.random() < self.style.litter:
            self._file(folder / self.draw.choice(tuple(_OTHERS)), "outside")
        if self.draw.random() < self.style.litter / 2:
            self._litter_folder(folder)
        return pictures

    def _picture(self, folder: Path, label: str, index: int) -> Picture:
        draw, form = self.draw, FORMS[self.draw.choice(self.style.forms)]
        code, size = draw_code(draw, form), draw.choice(self.style.sizes)
        state, data = self._content(form, encoded(draw, form, code, size))
        suffix = draw.choice(draw.choice(tuple(FORMS.values())).suffixes)  # which decides nothing
        suffix = suffix if draw.random() < 0.1 else draw.choice(form.suffixes)
        path = folder / f"{index}-{draw.choice(('a', 'B', 'x y', 'o' * 60, 'ü'))}.{suffix}"
        self._put(path, data)
        return Picture(label, code, form.grey, state, size)

    def _content(self, form: Form, whole: bytes) -> tuple[State, bytes]:
        chance = self.draw.random()
        if chance < self.style.bad:
            return "bad", unreadable(self.draw, whole)
        if chance < self.style.bad + self.style.maybe:
            return "maybe", damaged(self.draw, whole)
        return "good", whole

    def _put(self, path: Path, data: bytes) -> None:
        """Write a file, perhaps in a subfolder, or elsewhere with a link to it."""
        chance = self.draw.random()
        if chance < self.style.nested / 2:
            path = path.parent / self.draw.choice(("sub", "sub/deep", "a.png")) / path.name
        if self.style.nested / 2 < chance < self.style.nested:
            target = self.root / TARGETS / f"{self.draw.getrandbits(60)}"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(data)
            path.symlink_to(target)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def _litter(self, folder: Path) -> None:
        if self.draw.random() < self.style.litter / 2:
            name = self.draw.choice(tuple(_OTHERS))
            self._file(folder / name, _OTHERS[name])
        if self.draw.random() < self.style.litter / 2:
            self._file(folder / self.draw.choice(_LITTER), "litter")
        if self.draw.random() < self.style.litter / 4:
            self._litter_folder(folder)
        if self.draw.random() < self.style.nested / 4 and not (folder / "loop").exists():
            (folder / "loop").symlink_to(self.draw.choice((".", "..")))

    def _file(self, path: Path, reason: str) -> None:
        if not path.exists():
            path.write_bytes(self.draw.randbytes(self.draw.choice((0, 9))))
            self.skipped[reason] += 1

    def _litter_folder(self, folder: Path) -> None:
        path = folder / self.draw.choice(_LITTER_FOLDERS)
        if not path.exists():
            path.mkdir()
            (path / "1.png").write_bytes(b"not an image")
            self.skipped["litter"] += 1


def make(draw: Random, folder: Path) -> Truth:
    """Write a random folder of images and return what was put in."""
    style = draw_style(draw)
    root = folder / (draw.choice(ODD) if draw.random() < 0.2 else "photos")
    root.mkdir()
    writer = Writer(draw, root, style)
    classes = sorted(draw_names(draw, draw.choice((2, 2, 3, 5)), style.odd))
    layout = draw.choice(("splits",) * 9 + ("bare", "flat"))
    if layout == "flat":  # no folders of classes
        writer.split(draw.choice((".", "train")), [], all_needed=True)
        return Truth(root, {}, [], [], problems=["no classes"])
    if layout == "bare":  # one folder per class, and no split
        classes = [name for name in classes if name != "train"]
        pictures = writer.split(".", classes, all_needed=True)
        return _bare(writer, classes, pictures)
    return _with_splits(draw, writer, classes)


def _bare(writer: Writer, classes: list[str], pictures: list[Picture]) -> Truth:
    """Return the truth of a folder of class folders; some of their names are those of splits."""
    options = {"test_split": 0, "skip_bad": True}  # a drawn split could not be foretold
    truth = Truth(writer.root, options, classes, pictures, skipped=writer.skipped, perhaps=True)
    truth.noisy = any(form.startswith("tiff") for form in writer.style.forms)
    _compose_names(truth)
    problems_of_pictures(truth)
    return truth


def _with_splits(draw: Random, writer: Writer, classes: list[str]) -> Truth:
    train = writer.split("train", classes, all_needed=True)
    truth = Truth(writer.root, _options(draw, writer.style), classes, train)
    for name in [name for name in TESTS if draw.random() < 0.25]:
        _test_split(draw, writer, name, truth)
    for name in ("extra", "unlabeled", "Train", "tests"):
        if draw.random() < 0.05:
            (writer.root / name / "a").mkdir(parents=True)
            truth.warned.append(f"{name}/")
    for name in _BESIDE:
        if draw.random() < 0.04:
            (writer.root / name).write_bytes(_TABLE if name.endswith(".parquet") else b"text")
    if (writer.root / TARGETS).exists():
        truth.warned.append(f"{TARGETS}/")
    truth.skipped = writer.skipped
    truth.noisy = any(form.startswith("tiff") for form in writer.style.forms)
    _compose_names(truth)
    problems_of_pictures(truth)
    return truth


def _compose_names(truth: Truth) -> None:
    """Name classes in Unicode's composed form, unless two then have one name."""
    alike = Counter(normalize("NFC", name) for name in truth.classes)
    composed = {name: normalize("NFC", name) for name in truth.classes}
    names = {name: other if alike[other] == 1 else name for name, other in composed.items()}
    truth.classes = sorted(names.values())
    for pictures in (truth.train, truth.test or []):
        pictures[:] = [replace(each, label=names[each.label]) for each in pictures]


def _test_split(draw: Random, writer: Writer, name: str, truth: Truth) -> None:
    """Write one test split; the first usable one is the truth's, those before it are warned of."""
    kind = draw.choice(("labelled",) * 4 + ("empty", "foreign", "bare", "more"))
    kept = Counter(writer.skipped)
    classes = [label for label in truth.classes if draw.random() < 0.9]
    if kind in ("labelled", "more") and classes:
        pictures = writer.split(name, classes, all_needed=False)
        usable = bool(pictures) or kind == "more"
        if kind == "more":
            (writer.root / name / "one class more").mkdir()
    else:
        pictures, usable = [], False
        (writer.root / name).mkdir()
        below = {"foreign": ["elsewhere"], "bare": truth.classes}.get(kind, [])
        for label in below:
            (writer.root / name / label).mkdir()
    if truth.test is not None or not usable:
        writer.skipped = kept  # files of a split that is not used are not counted
    if truth.test is None and usable:
        truth.test = pictures
        truth.problems += ["a class of test alone"] if kind == "more" else []
    elif truth.test is None:
        truth.warned.append(f"split {name} is left out")


def _options(draw: Random, style: Style) -> dict[str, object]:
    options: dict[str, object] = {}
    if len(style.sizes) > 1 or draw.random() < 0.3:
        options["size"] = draw.choice((8, 8, 13, 16, 24)) if draw.random() < 0.9 else None
    if style.bad or style.maybe:
        options["skip_bad"] = draw.random() < 0.7
    return options
