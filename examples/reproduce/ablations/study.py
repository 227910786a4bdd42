"""Inputs of a study (data, scale, settings, seeds, work directory) and what an ablation is."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from assignments import condensing_of, evaluation_of

from ablations.scale import Scale
from hmnpack.bundle import Bundle
from hmnpack.runtime.devices import choose_device, kind_of
from hmnpack.runtime.kept import entry_name
from hmnpack.runtime.progress import Listener
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.result import Figure, Row
from hmnpack.settings import CompressSettings, evaluate_config, protocol_for, recipe_of
from hmnpack.sources import Source, Split, as_seen, hold_out

PaperValues = Mapping[tuple[str, int], float]
"""Values in the paper for CIFAR-10, by row name and budget."""

_CIFAR10 = ImageShape(channels=3, height=32, width=32)


@dataclass(frozen=True)
class Study:
    """Parsed command line, with the dataset opened.

    Attributes:
        source: The dataset.
        label: Its name in tables.
        scale: Size of the study.
        recipe: Base recipe for condensing.
        assignments: Settings from the command line, such as ``match.steps=100``. A prefix
            ``evaluate.`` marks evaluation settings.
        seed: Seed of condensing and pruning.
        seeds: Seeds of the networks; each row has one network per seed.
        ipcs: Budgets, in images per class.
        networks: Architectures, for a study that varies them.
        on: Split that rows are tested on: ``test`` or ``held-out``.
        given: Existing bundles to use; if there are any, none is condensed.
        work: Work directory, where later runs find what this one made.
        device: Device to compute on.
        listener: Called with all progress.
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
        """Return a file name that is unique to the facts, the device kind and library versions."""
        return entry_name(kind, kind_of(choose_device(self.device)), *facts)

    def config(self, changes: Mapping[str, object]) -> CompressConfig:
        """Return the condensing settings.

        Precedence, highest first: the study's changes, the command line, the scale, the recipe.

        Args:
            changes: The study's own settings, by dotted path.

        Raises:
            BadSettings: for an unknown recipe or setting, or an invalid value.
        """
        shape = self.source.shape
        scaled = _texts(self.scale.condensed(recipe_of(self.recipe, shape)))
        typed = condensing_of(self.assignments)
        options = {"seed": self.seed, **changes}
        return CompressSettings(self.recipe, None, [*scaled, *typed], options).config(shape)

    def protocol(self, ipc: int, changes: Mapping[str, object] | None = None) -> EvaluateConfig:
        """Return the evaluation settings, by default without baselines; precedence as in `config`.

        Args:
            ipc: Budget of the evaluated bundle.
            changes: The study's own settings, by dotted path.
        """
        base = protocol_for(self.scale.protocol, self.source.shape, ipc)
        scaled = _texts(self.scale.evaluated(base))
        typed = evaluation_of(self.assignments)
        options = {"repeats": 1, "baselines": False, **(changes or {})}
        return evaluate_config([*scaled, *typed], options, base)

    def tested(self, bundle: Bundle) -> Source:
        """Return the dataset with the images that rows of a bundle are tested on as test split.

        Raises:
            BadData: if rows are tested on held-out images and the bundle does not identify them.
        """
        if self.on == "test":
            return self.source
        seen = as_seen(bundle.manifest, self.source)
        return replace(seen, test=self._halves(bundle)[1])

    def chosen_by(self, bundle: Bundle) -> Split:
        """Return the held-out images for choices about a bundle, disjoint from the test images.

        Raises:
            BadData: if the bundle does not identify its held-out images.
        """
        return self._halves(bundle)[0]

    def _halves(self, bundle: Bundle) -> tuple[Split, Split]:
        """Return held-out images for choices and for testing: all and none, or half each."""
        held = as_seen(bundle.manifest, self.source).test
        assert held is not None
        part = 0.0 if self.on == "test" else 0.5
        return hold_out(held, part, stream(self.seed, "held-out halves"))

    @property
    def tested_on(self) -> str:
        """Description of the images that rows are tested on."""
        if self.on == "test":
            return f"{len(self.source.test) if self.source.test else 0} images of the test split"
        return "half of the held-out images; choices use the other half"

    def paper_value(self, values: PaperValues, row: str, ipc: int) -> float | None:
        """Return the paper's value for a row; None if there is none or the dataset is not CIFAR-10.

        The label decides, so a JPEG copy counts as CIFAR-10.
        """
        named = re.search(r"cifar[-_ ]?10(?!\d)", self.label.lower()) is not None
        alike = self.source.image == _CIFAR10 and len(self.source.classes) == 10
        return values.get((row, ipc)) if named and alike else None


@dataclass(frozen=True)
class Findings:
    """Results of a study.

    Attributes:
        rows: Rows of its table; their figures have ``ipc``, and ``paper`` if the paper has a value.
        figures: Metrics other than accuracies, with units in their names.
    """

    rows: tuple[Row, ...] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Ablation:
    """A table or figure of the paper, as measured here.

    Attributes:
        title: Heading.
        varies: The varied factor.
        measures: What is measured, and limits of comparing it with the paper.
        paper: The paper's values; accuracies in percent.
        ipcs: The paper's budgets, in images per class.
        measure: Function that runs the study.
        takes_bundles: Whether it can use existing bundles.
    """

    title: str
    varies: str
    measures: str
    paper: PaperValues
    ipcs: tuple[int, ...]
    measure: Callable[[Study], Findings]
    takes_bundles: bool = True


def named(row: Row, name: str, ipc: int, paper: float | None = None, **figures: Figure) -> Row:
    """Return a row renamed for a study's table.

    Args:
        row: Row as evaluated.
        name: Name that is unique among the rows of its budget.
        ipc: The budget, in images per class.
        paper: The paper's accuracy in percent, if it has one.
        figures: Additional metrics.
    """
    found = {"ipc": ipc, **({} if paper is None else {"paper": paper}), **figures}
    return row.model_copy(update={"name": name, "figures": {**found, **row.figures}})


def _texts(changes: Mapping[str, object]) -> list[str]:
    return [f"{path}={json.dumps(value)}" for path, value in changes.items()]
