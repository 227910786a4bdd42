"""The card of a file in a repository of the Hugging Face Hub: `README.md`, from the manifest.

Names in a manifest are untrusted: they are escaped in Markdown, and quoted in the metadata by the
library's own writer of YAML.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import log10
from statistics import mean, stdev
from typing import Any

from hmnpack.errors import one_line
from hmnpack.runtime.paths import HUB
from hmnpack.schema.instances import in_words
from hmnpack.schema.manifest import Budget, Manifest
from hmnpack.schema.nested import leaves
from hmnpack.schema.opaque import Opaque
from hmnpack.schema.score import Score
from hmnpack.version import __version__

PROJECT = "https://github.com/hmnpack/hmnpack"

CLASSES = 200
"""Maximum number of classes listed by name."""

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#&$!])")
"""Characters that mean something in Markdown or HTML."""

_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B")


@dataclass(frozen=True)
class Entry:
    """A file and its place on the hub.

    Attributes:
        manifest: Manifest of the file.
        repository: Name of the repository, ``owner/name``.
        file: Name of the file in it.
        size: Size of the file, in bytes.
        license: Identifier of the source's licence, as given by who pushes.
    """

    manifest: Manifest
    repository: str
    file: str
    size: int
    license: str

    @property
    def address(self) -> str:
        """Address of the file: ``hf://owner/name/file.hmn``."""
        return f"{HUB}{self.repository}/{self.file}"


def card_of(entry: Entry) -> str:
    """Return the text of the card: metadata as YAML, then Markdown; identical for equal entries.

    Raises:
        ImportError: if `huggingface_hub`, which writes the metadata, is not installed.
    """
    from huggingface_hub import DatasetCardData  # noqa: PLC0415 - an extra

    metadata = DatasetCardData(**_metadata(entry)).to_yaml()
    return f"---\n{metadata.strip()}\n---\n\n" + "\n\n".join(_parts(entry)) + "\n"


def plain(value: object) -> str:
    """Return a value as text on one line in which Markdown and HTML mean nothing."""
    return _SPECIAL.sub(r"\\\1", one_line(str(value)))


def _metadata(entry: Entry) -> dict[str, Any]:
    return {
        "pretty_name": _title(entry.manifest),
        "license": entry.license,
        "task_categories": ["image-classification"],
        "size_categories": [_size_category(entry.manifest.container.images)],
        "tags": ["dataset-condensation", "dataset-distillation", "synthetic", "hmnpack"],
        "viewer": False,  # the hub's viewer does not decode .hmn files
    }


def _size_category(images: int) -> str:
    return _SIZES[min(max(0, int(log10(images)) - 2), len(_SIZES) - 1)]


def _title(manifest: Manifest) -> str:
    return f"{one_line(manifest.source.name)}, condensed to {_budget(manifest.budget)}"


def _budget(budget: Budget) -> str:
    if budget.ipc is None:
        return f"{budget.bytes:,} bytes"
    return f"{budget.ipc:,} {'image' if budget.ipc == 1 else 'images'} per class"


def _parts(entry: Entry) -> Iterator[str]:
    manifest = entry.manifest
    yield f"# {plain(_title(manifest))}"
    yield _lead(manifest)
    yield "## How to load"
    yield _loading(entry)
    yield "## Scores"
    yield from _scores(manifest)
    yield "## Size and budget"
    yield _table(("", ""), _facts(entry))
    yield "## Source and licence"
    yield _licence(entry)
    yield "## Classes"
    yield _classes(manifest.classes)
    yield f"This card was written by hmnpack {__version__} from the manifest of `{entry.file}`."


def _lead(manifest: Manifest) -> str:
    spec, source = manifest.container, manifest.source
    shape = f"{spec.image.channels} x {spec.image.height} x {spec.image.width}"
    number = f"{source.train_images:,} " if manifest.names_training_split else ""
    return (
        f"{spec.images:,} synthetic images ({shape}) of {spec.classes:,} classes, in one file of "
        f"[hmnpack]({PROJECT}). They stand for the {number}training images of "
        f"{plain(source.name)} (*dataset condensation*): a network is trained on them from scratch."
    )


def _loading(entry: Entry) -> str:
    image = entry.manifest.container.image
    return f"""\
In a copy of [hmnpack's repository]({PROJECT}), run `pip install -e '.[hub]'`. Then, in Python:

```python
import hmnpack

ds = hmnpack.load("{entry.address}")  # a torch Dataset
image, label = ds[0]  # float32 [{image.channels}, {image.height}, {image.width}], and an integer
images, labels = ds.tensors()  # all images; tensors("cuda") decodes on the GPU
arrays, numbers = ds.arrays()  # NumPy: uint8 [N, H, W, C], int64 [N]
```

or as files:

```bash
hmnpack expand {entry.address} --out images/
hmnpack pull {entry.repository}/{entry.file} -o {entry.file}
```"""


def _scores(manifest: Manifest) -> Iterator[str]:
    if not manifest.scores:
        yield "The file records no score."
        return
    yield (
        "Accuracy in percent after the last epoch, mean ± standard deviation, of networks trained "
        "from scratch on the images of each row. Baselines are real images."
    )
    for score in manifest.scores:
        yield _protocol(score)
        yield _table(("trained on", "images", "accuracy", "networks"), _rows(score))


def _protocol(score: Score) -> str:
    but = f", but {_settings(score.config)}" if score.config else ""
    return (
        f"**{plain(score.network)}, tested on {plain(score.tested_on)}** (protocol "
        f"{plain(score.protocol)}, seed {score.seed}{but}):"
    )


def _settings(config: Opaque) -> str:
    return plain(", ".join(f"{path}={json.dumps(value)}" for path, value in leaves(config)))


def _rows(score: Score) -> Iterator[tuple[object, ...]]:
    found = score.accuracies
    spread = stdev(found) if len(found) > 1 else 0.0
    yield _row("these images", score.images, mean(found), spread, len(found))
    for row in score.baselines:
        yield _row(row.name, row.images, row.mean, row.std, row.networks)


def _row(name: str, images: int, middle: float, std: float, networks: int) -> tuple[object, ...]:
    accuracy = f"{middle:.1f} ± {std:.1f}" if networks > 1 else f"{middle:.1f}"
    return (plain(name), f"{images:,}", accuracy, networks)


def _facts(entry: Entry) -> Iterator[tuple[object, ...]]:
    manifest = entry.manifest
    ledger, budget = manifest.ledger, manifest.budget
    yield "file", f"`{entry.file}`, {entry.size:,} bytes"
    floats = "" if budget.floats is None else f"{budget.floats:,} floats, "
    ipc = "" if budget.ipc is None else f"{_budget(budget)}: "
    yield "budget", f"{ipc}{floats}{budget.bytes:,} bytes"
    yield "stored", f"{ledger.floats:,} floats, {ledger.bytes:,} bytes"
    yield "images per class", in_words(manifest.container.instances)
    yield "container", plain(manifest.container.kind)
    if manifest.recipe is not None:
        yield "recipe", plain(manifest.recipe)
    if manifest.config:
        yield "settings that differ", _settings(manifest.config)
    if manifest.seed is not None:
        yield "seed", manifest.seed
    made = manifest.provenance
    yield "made with", plain(f"hmnpack {made.hmnpack}, torch {made.torch}, on {made.device}")
    yield "sha256 of the tensors", f"`{manifest.data_sha256}`"


def _made_from(manifest: Manifest) -> str:
    source = manifest.source
    if not manifest.names_training_split:
        return f"Made from {plain(source.name)}; the file does not record its training split."
    return f"""\
Made from the training split of {plain(source.name)}: {source.train_images:,} images, of which
{source.held_out:,} were held out (fingerprint `{source.fingerprint}`)."""


def _licence(entry: Entry) -> str:
    start = (
        "The images were initialised from real ones, which they may resemble."
        if entry.manifest.provenance.real_images_used_to_start
        else "The images were not initialised from real ones."
    )
    return f"""\
{_made_from(entry.manifest)}

Licence of the source, as stated by who pushed this file: `{entry.license}`. The file is derived
from the source; hmnpack does not check licences.

{start} Condensation does not make data private."""


def _classes(names: Sequence[str]) -> str:
    more = f" and {len(names) - CLASSES:,} more" if len(names) > CLASSES else ""
    return f"{len(names):,}: " + ", ".join(map(plain, names[:CLASSES])) + more + "."


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; its cells are Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
