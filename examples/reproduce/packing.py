"""Packing a data set once, in as many pieces as it takes, with its minutes counted."""

from dataclasses import dataclass
from pathlib import Path

from minutes import Minutes, Spent, Timed
from record import print_progress

from hmnpack.bundle import Bundle, read
from hmnpack.condensing.run import RunOptions, compress
from hmnpack.errors import OutputExists
from hmnpack.runtime.devices import choose_device, kind_of
from hmnpack.runtime.kept import entry_name
from hmnpack.runtime.progress import Listener
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.stages import has_stage
from hmnpack.settings import recorded_settings
from hmnpack.sources import Source, SourceOptions

POOL_STAGE = "pool network"
"""How the names of the stages begin in which networks are trained that later runs find made."""


@dataclass(frozen=True)
class Packing:
    """A bundle to be made, or found.

    Attributes:
        source: The data.
        ipc: Budget, in images per class.
        config: Every setting.
        output: The file to be; checkpoint, minutes and pool lie beside it.
        device: Where to compute.
        listener: Hears of the progress.
        unpruned: Where the bundle also goes as it is before it is pruned, or None.
    """

    source: Source
    ipc: int
    config: CompressConfig
    output: Path
    device: str
    listener: Listener = print_progress
    unpruned: Path | None = None

    def bundle(self, max_minutes: float | None) -> Bundle:
        """Return the bundle, made now or found; an unfinished run is gone on with.

        Args:
            max_minutes: Pause after so many, or None.

        Raises:
            OutputExists: if the file is there, but of other data or settings.
            Paused: if the run is not done; the next call goes on.
        """
        if self.output.exists():
            return self._found()
        own, pool = self.own_minutes(), self.pool_minutes()

        def book(stage: str) -> Minutes:
            return pool if stage.startswith(POOL_STAGE) else own

        with Timed(book, self.listener) as timed:
            return compress(
                self.source,
                self.ipc,
                config=self.config,
                output=self.output,
                options=RunOptions(
                    device=self.device,
                    resume=True,
                    max_minutes=max_minutes,
                    unpruned=self.unpruned,
                ),
                # A pool in the common cache may have been trained by who knows what, and when.
                source_options=SourceOptions(cache_dir=self.output.parent),
                listener=timed,
            )

    def _found(self) -> Bundle:
        bundle = read(self.output)
        facts = (bundle.manifest.source.fingerprint, recorded_settings(bundle.manifest))
        if facts != (self.source.train.fingerprint, self.config):
            raise OutputExists(
                f"{self.output} was packed from other data or by other settings; use another name "
                "(--tag), or delete the file"
            )
        return bundle

    def own_minutes(self) -> Minutes:
        """Return the minutes of this run alone."""
        return Minutes(self.output.with_suffix(".minutes.json"))

    def pool_minutes(self) -> Minutes:
        """Return the minutes of each network of the pool, whichever run trained it."""
        settings = self.config.pool.model_copy(update={"size": 1}).model_dump_json()
        seen = (self.source.train.fingerprint, self.config.holdout, self.config.seed)
        name = entry_name("minutes", *seen, settings, kind_of(choose_device(self.device)))
        return Minutes(self.output.parent / "pool" / f"{name}.json")

    def minutes(self) -> dict[str, Spent]:
        """Return what packing took: the pool that it needs, and all else."""
        names = [f"{POOL_STAGE} {index + 1}" for index in range(self.config.pool.size)]
        own = self.own_minutes()
        return {
            "pool": self.pool_minutes().of(names if has_stage(self.config, "pool") else ()),
            "after_pool": own.of(own.stages),
        }
