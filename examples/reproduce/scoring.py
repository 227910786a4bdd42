"""Accuracy of a bundle on held-out images; the test split is not used."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from record import cached_rows, over_seeds, print_progress

from hmnpack.bundle import Bundle
from hmnpack.evaluation import evaluate
from hmnpack.schema.config import NetworkConfig, TrainConfig
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.result import Row
from hmnpack.sources import Source
from hmnpack.training.loop import Schedule, schedule_of


@dataclass(frozen=True)
class Scoring:
    """Networks trained from scratch on all images of a bundle, with the paper's training recipe.

    Attributes:
        bundle: The bundle.
        source: The dataset that it was made from.
        network: Architecture to train.
        steps: Minimum training steps of each network, rounded up to whole epochs.
        batch: Images per step.
        device: Device to compute on.
    """

    bundle: Bundle
    source: Source
    network: NetworkConfig
    steps: int
    batch: int
    device: str

    @property
    def schedule(self) -> Schedule:
        """Epochs and steps of each network."""
        config = self._protocol(0)
        images = self.bundle.manifest.container.images
        return schedule_of(config.train, images, config.min_steps)

    def row(self, files: dict[int, Path]) -> Row:
        """Return the mean over networks, after training those without a file.

        Args:
            files: Result file of each network, by seed.
        """
        for seed, path in files.items():
            cached_rows(path, partial(self._trained, seed))
        (row,) = over_seeds(files.values())
        return row

    def _trained(self, seed: int) -> tuple[Row, ...]:
        config = self._protocol(seed)
        return evaluate(
            self.bundle, self.source, config, device=self.device, listener=print_progress
        ).rows

    def _protocol(self, seed: int) -> EvaluateConfig:
        """Return the settings of one network; ``evaluate`` disables flips of digits and letters."""
        return EvaluateConfig(
            network=self.network,
            train=TrainConfig(epochs=0, batch=self.batch, weight_decay=0.0002),
            repeats=1,
            seed=seed,
            baselines=False,
            min_steps=self.steps,
            held_out=True,
        )
