"""The gallery: a pure function from the files of a folder to the text of one HTML file."""

from base64 import b64encode
from collections.abc import Iterator
from itertools import groupby

from hmnpack.page.frame import WITH_STRIPS, framed
from hmnpack.page.gallery import Strip
from hmnpack.page.markup import Html, join, name_of, tag
from hmnpack.page.numbers import count, plural, shape, size, spread
from hmnpack.page.parts import Part, figure, paragraph, table
from hmnpack.page.scores import Line, lines_of_score
from hmnpack.page.settings import settings
from hmnpack.page.shelf import Damaged, Shelf, Shelved
from hmnpack.schema.score import Score

OVERVIEW = (*WITH_STRIPS, "overview.css")
"""Style sheets of the page."""

NOTHING = "\N{EN DASH}"
"""Content of a cell for what is not recorded."""

SHOWN = 4
"""Factor by which images of at most 16 pixels are enlarged; twice for those of at most 32."""


def overview_of(shelf: Shelf) -> str:
    """Return the text of the page, which is identical for equal shelves."""
    header = tag(
        "header",
        paragraph("Condensed datasets", kind="kicker"),
        tag("h1", name_of(shelf.name)),
        paragraph(_lead(shelf), kind="lead"),
    )
    return framed(f"{shelf.name} - hmnpack gallery", header, list(_parts(shelf)), OVERVIEW)


def _lead(shelf: Shelf) -> str:
    datasets = len({file.manifest.source.name for file in shelf.files})
    said = f"{plural(len(shelf.files), 'file')} of {plural(datasets, 'dataset')}"
    if shelf.damaged:
        said += f", and {plural(len(shelf.damaged), 'file')} that cannot be read"
    return f"{said}. Ordered by dataset, classes, budget and size."


def _parts(shelf: Shelf) -> Iterator[Part]:
    if shelf.files:
        yield Part("files", "Files", _files(shelf))
        yield Part("images", "Images", _images(shelf))
        yield Part("scores", "Scores", _scores(shelf))
    if shelf.damaged:
        yield Part("damaged", "Files that cannot be read", _damaged(shelf.damaged))


def _files(shelf: Shelf) -> Html:
    columns = (
        *("file", "dataset", "classes", "images", "image size", "IPC"),
        *("floats stored", "bytes stored", "accuracy"),
    )
    caption = (
        "One row per file. IPC: images per class that the budget equals. Bytes stored exclude the "
        "header. Accuracy: the last recorded score."
    )
    return _wide("Files", table(caption, columns, (_row(file) for file in shelf.files)))


def _wide(name: str, content: Html) -> Html:
    """Return a table that scrolls sideways on a narrow screen, also with the keyboard."""
    return tag("div", content, class_="wide", role="region", aria_label=name, tabindex=0)


def _row(file: Shelved) -> tuple[object, ...]:
    manifest = file.manifest
    spec, ledger, budget = manifest.container, manifest.ledger, manifest.budget
    return (
        join((_linked(file), tag("small", f"{size(file.size)} with header"))),
        name_of(manifest.source.name),
        count(spec.classes),
        count(spec.images),
        shape((spec.image.channels, spec.image.height, spec.image.width)),
        size(budget.bytes) if budget.ipc is None else count(budget.ipc),
        count(ledger.floats),
        count(ledger.bytes),
        _accuracy(manifest.scores[-1]) if manifest.scores else NOTHING,
    )


def _linked(file: Shelved) -> Html:
    """Return the name of a file, as a link to its report if there is one."""
    name = name_of(file.name)
    return name if file.report is None else tag("a", name, href=file.report)


def _accuracy(score: Score) -> Html:
    own = lines_of_score(score)[0]
    said = f"{score.network}, {'held-out images' if score.held_out else 'test split'}"
    return join((spread(own.mean, own.std), tag("small", said)))


def _images(shelf: Shelf) -> Html:
    return join(_figure(file) for file in shelf.files)


def _figure(file: Shelved) -> Html:
    names = file.manifest.classes
    if file.strip is None:
        said = "No picture: this version does not decode the images, or PNG has no such channels."
        return figure(paragraph(said), tag("strong", _linked(file)))
    shown = names[: file.strip.classes]
    more = f" and {count(len(names) - len(shown))} more" if len(names) > len(shown) else ""
    listed = [part for name in shown for part in (", ", name_of(name))][1:]
    said = join((tag("strong", _linked(file)), ": ", *listed, more))
    alt = f"{file.name}: the first image of each of {plural(len(shown), 'class', 'classes')}"
    return figure(_strip(file.strip, alt), said)


def _strip(strip: Strip, alt: str) -> Html:
    factor = max(1, SHOWN * 16 // strip.height)
    return tag(
        "img",
        src=f"data:image/png;base64,{b64encode(strip.data).decode()}",
        alt=alt,
        width=strip.width * factor,
        height=strip.height * factor,
        class_="strip",
    )


def _scores(shelf: Shelf) -> Html:
    groups = groupby(shelf.files, key=lambda file: file.manifest.source.name)
    return join(part for name, files in groups for part in _of_dataset(name, list(files)))


def _of_dataset(name: str, files: list[Shelved]) -> Iterator[Html]:
    """Yield a table of all scores of a dataset's files, and the files without a score."""
    yield tag("h3", name_of(name))
    rows = [row for file in files for score in file.manifest.scores for row in _lines(file, score)]
    if rows:
        columns = ("trained on", "network", "protocol", "tested on", "accuracy", "networks")
        caption = (
            f"{name}: mean and standard deviation of the accuracy of fresh networks. Baselines, "
            "real images, follow the file that they belong to."
        )
        yield _wide(f"Scores on {name}", table(caption, columns, rows))
    for file in files:
        for number, score in enumerate(file.manifest.scores, 1):
            if score.config:
                summary = f"Settings that differ from the protocol: {file.name}, score {number}"
                yield settings(summary, score.config, "")
    without = [file for file in files if not file.manifest.scores]
    if without:
        listed = [part for file in without for part in (", ", name_of(file.name))][1:]
        yield paragraph("Without a recorded score: ", *listed, ".", kind="small")


def _lines(file: Shelved, score: Score) -> Iterator[tuple[object, ...]]:
    own, *baselines = lines_of_score(score)
    tested = "held-out images" if score.held_out else "test split"
    protocol = f"{score.protocol}, seed {score.seed}"
    first = join((_linked(file), tag("small", plural(score.images, "image"))))
    yield first, score.network, protocol, join((name_of(score.data), f", {tested}")), *_mean(own)
    for line in baselines:
        images = "" if line.images is None else plural(line.images, "image")
        named = tag("span", line.name, tag("small", images), class_="baseline")
        yield named, "", "", "", *_mean(line)


def _mean(line: Line) -> tuple[str, str]:
    networks = NOTHING if line.networks is None else count(line.networks)
    return spread(line.mean, line.std), networks


def _damaged(files: tuple[Damaged, ...]) -> Html:
    caption = "Files with the suffix .hmn that hmnpack does not read, and why."
    rows = ((name_of(file.name), file.reason) for file in files)
    return table(caption, ("file", "reason"), rows, "words")
