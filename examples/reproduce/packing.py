"""Condense a dataset once, resuming interrupted runs, and record the minutes."""

from dataclasses import dataclass
from pathlib import Path

from minutes import Minutes, Spent, Timed
from record import print_progress

from hmnpack.bundle import Bundle, read
from hmnpack.condensing.compress import compress
from hmnpack.condensing.request import RunOptions
from hmnpack.errors import OutputExists
from hmnpack.runtime.devices import choose_device, kind_of
from hmnpack.runtime.kept import entry_name
from hmnpack.runtime.progress import Listener
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.stages import has_stage
from hmnpack.settings import recorded_settings
from hmnpack.sources import Source, SourceOptions

POOL_STAGE = "pool network"
"""Prefix of the stages that train pool networks, which later runs reuse."""


@dataclass(frozen=True)
class Packing:
    """A bundle to condense, or to read if it exists.

    Attributes:
        source: The dataset.
        ipc: Budget, in images per class.
        config: All settings.
        output: File to write; the checkpoint, minutes and pool lie beside it.
        device: Device to compute on.
        listener: Called with the progress.
        unpruned: Second file, for the bundle before pruning; None: not written.
        fitted_to: Minutes that the settings are fitted to, as by `compress --minutes`; None: the
            settings are as given.
    """

    source: Source
    ipc: int
    config: CompressConfig
    output: Path
    device: str
    listener: Listener = print_progress
    unpruned: Path | None = None
    fitted_to: float | None = None

    def bundle(self, max_minutes: float | None) -> Bundle:
        """Return the bundle: read it if it exists, else condense it, resuming an unfinished run.

        Args:
            max_minutes: Pause after this many minutes; None: no limit.

        Raises:
            OutputExists: if the file exists with other data or settings.
            Paused: if the run is unfinished; the next call resumes it.
        """
        if self.output.exists():
            return self._existing()
        own, pool = self.own_minutes(), self.pool_minutes()

        def minutes_of(stage: str) -> Minutes:
            return pool if stage.startswith(POOL_STAGE) else own

        with Timed(minutes_of, self.listener) as timed:
            return compress(
                self.source,
                self.ipc,
                config=self.config,
                minutes=self.fitted_to,
                output=self.output,
                options=RunOptions(
                    device=self.device,
                    resume=True,
                    max_minutes=max_minutes,
                    unpruned=self.unpruned,
                ),
                # Not the user's cache: minutes of a pool trained elsewhere would be unknown.
                source_options=SourceOptions(cache_dir=self.output.parent),
                listener=timed,
            )

    def _existing(self) -> Bundle:
        bundle = read(self.output)
        same_data = bundle.manifest.source.fingerprint == self.source.train.fingerprint
        chosen = self.fitted_to is not None  # by the time, and recorded in the bundle
        if not same_data or not (chosen or recorded_settings(bundle.manifest) == self.config):
            raise OutputExists(
                f"{self.output} has other data or other settings; use another name (--tag), or "
                "delete the file"
            )
        return bundle

    def own_minutes(self) -> Minutes:
        """Return the minutes of this run, without the pool."""
        return Minutes(self.output.with_suffix(".minutes.json"))

    def pool_minutes(self) -> Minutes:
        """Return the minutes of the pool's networks, whichever run trained them."""
        settings = self.config.pool.model_copy(update={"size": 1}).model_dump_json()
        seen = (self.source.train.fingerprint, self.config.holdout, self.config.seed)
        name = entry_name("minutes", *seen, settings, kind_of(choose_device(self.device)))
        return Minutes(self.output.parent / "pool" / f"{name}.json")

    def minutes(self) -> dict[str, Spent]:
        """Return the resources used by the pool and by everything after it."""
        own, pool = self.own_minutes(), self.pool_minutes()
        names = [f"{POOL_STAGE} {index + 1}" for index in range(self.config.pool.size)]
        if self.fitted_to is not None:  # the time chose how many
            names = list(pool.stages)
        return {
            "pool": pool.of(names if has_stage(self.config, "pool") else ()),
            "after_pool": own.of(own.stages),
        }
