"""What a table or figure is, and what it is measured with: data, size, settings, seeds, folder."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ablations.scale import Scale
from hmnpack.bundle import Bundle
from hmnpack.registry import PROTOCOLS
from hmnpack.runtime.devices import choose_device, kind_of
from hmnpack.runtime.kept import entry_name
from hmnpack.runtime.progress import Listener
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.result import Figure, Row
from hmnpack.settings import CompressSettings, evaluate_config, recipe_of
from hmnpack.sources import Source, Split, as_seen, hold_out

JUDGING = "evaluate."
"""How the names of settings begin that are of judging; the others are of condensing."""

Numbers = Mapping[tuple[str, int], float]
"""Numbers of the paper for CIFAR-10, by the name of a row and its budget."""

_CIFAR10 = ImageShape(channels=3, height=32, width=32)


@dataclass(frozen=True)
class Study:
    """Everything that was asked for, with the data open.

    Attributes:
        source: The data.
        label: Its name in tables.
        scale: How large the study is.
        recipe: Settings of condensing to start from.
        assignments: Settings that were typed, such as ``match.steps=100``; those that begin with
            ``evaluate.`` are of judging.
        seed: Of condensing and pruning.
        seeds: One network of each row for each.
        ipcs: Budgets, in images per class.
        networks: Architectures, where the study is about them.
        on: ``test``, or ``held-out``: what rows are tested on.
        given: Bundles that are used as they are; where there are any, none is condensed.
        work: Folder of all that is made, and found by a later run.
        device: Where to compute.
        listener: Hears of everything.
    """

    source: Source
    label: str
    scale: Scale
    recipe: str
    assignments: tuple[str, ...]
    seed: int
    seeds: tuple[int, ...]
    ipcs: tuple[int, ...]
    networks: tuple[str, ...]
    on: str
    given: tuple[Bundle, ...]
    work: Path
    device: str
    listener: Listener

    def name(self, kind: str, *facts: object) -> str:
        """Return the name of a file of the study: other facts, device or versions, another."""
        return entry_name(kind, kind_of(choose_device(self.device)), *facts)

    def config(self, changes: Mapping[str, object]) -> CompressConfig:
        """Return the settings of condensing: the study's own over those typed, scaled, the recipe.

        Args:
            changes: The study's own, by dotted path.

        Raises:
            BadSettings: for an unknown recipe or setting, or a value that its setting refuses.
        """
        shape = self.source.shape
        scaled = _texts(self.scale.condensed(recipe_of(self.recipe, shape)))
        typed = [text for text in self.assignments if not text.startswith(JUDGING)]
        options = {"seed": self.seed, **changes}
        return CompressSettings(self.recipe, None, [*scaled, *typed], options).config(shape)

    def protocol(self, ipc: int, changes: Mapping[str, object] | None = None) -> EvaluateConfig:
        """Return how networks are judged, without baselines; likewise.

        Args:
            ipc: The budget of what is judged.
            changes: The study's own, by dotted path.
        """
        base = PROTOCOLS[self.scale.protocol](self.source.shape, ipc)
        scaled = _texts(self.scale.judged(base))
        judging = (text for text in self.assignments if text.startswith(JUDGING))
        typed = [text.removeprefix(JUDGING) for text in judging]
        options = {"repeats": 1, "baselines": False, **(changes or {})}
        return evaluate_config([*scaled, *typed], options, base)

    def tested(self, bundle: Bundle) -> Source:
        """Return the data with the split that rows of a bundle are tested on as its test split.

        Raises:
            BadData: if that is to be held-out images, and which these are is not known.
        """
        if self.on == "test":
            return self.source
        seen = as_seen(bundle.manifest, self.source)
        return replace(seen, test=self._halves(bundle)[1])

    def chosen_by(self, bundle: Bundle) -> Split:
        """Return the held-out images that choices about a bundle are made by: no row's own test.

        Raises:
            BadData: if it is not known which images were held out.
        """
        return self._halves(bundle)[0]

    def _halves(self, bundle: Bundle) -> tuple[Split, Split]:
        """Return what chooses and what tests: all that was held out and nothing, or halves."""
        held = as_seen(bundle.manifest, self.source).test
        assert held is not None
        part = 0.0 if self.on == "test" else 0.5
        return hold_out(held, part, stream(self.seed, "held-out halves"))

    @property
    def tested_on(self) -> str:
        """What rows are tested on, in words."""
        if self.on == "test":
            return f"{len(self.source.test) if self.source.test else 0} images of the test split"
        return "half of the images held out of train, while the other half chooses"

    def papers(self, numbers: Numbers, row: str, ipc: int) -> float | None:
        """Return what the paper has beside a row, or None, as for other data than CIFAR-10.

        A JPEG copy counts as CIFAR-10, by its name in tables.
        """
        named = re.search(r"cifar[-_ ]?10(?!\d)", self.label.lower()) is not None
        alike = self.source.image == _CIFAR10 and len(self.source.classes) == 10
        return numbers.get((row, ipc)) if named and alike else None


@dataclass(frozen=True)
class Findings:
    """What a study found.

    Attributes:
        rows: Lines of its table; their figures have ``ipc``, and ``paper`` where it has a number.
        figures: What is no accuracy, with units in the names.
    """

    rows: tuple[Row, ...] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Ablation:
    """A table or figure of the paper, as it is measured here.

    Attributes:
        title: As a heading.
        varies: What is varied.
        measures: What is measured, and what may not be compared.
        paper: The paper's accuracies in percent.
        ipcs: The paper's budgets, in images per class.
        measure: Measures it.
        takes_bundles: Whether it may be measured with bundles that are there already.
    """

    title: str
    varies: str
    measures: str
    paper: Numbers
    ipcs: tuple[int, ...]
    measure: Callable[[Study], Findings]
    takes_bundles: bool = True


def named(row: Row, name: str, ipc: int, paper: float | None = None, **figures: Figure) -> Row:
    """Return a row under the name that it has in a study's table.

    Args:
        row: As judging made it.
        name: What tells it from the others of its budget.
        ipc: The budget, in images per class.
        paper: The paper's accuracy in percent, if it has one.
        figures: Further ones.
    """
    found = {"ipc": ipc, **({} if paper is None else {"paper": paper}), **figures}
    return row.model_copy(update={"name": name, "figures": {**found, **row.figures}})


def _texts(changes: Mapping[str, object]) -> list[str]:
    return [f"{path}={json.dumps(value)}" for path, value in changes.items()]
