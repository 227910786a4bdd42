"""Check whether feature matching overfits to the views it was matched through.

    python examples/reproduce/view_check.py --bundle runs/p1-fast.hmn --data DATA \
        --label 'CIFAR-10 (JPEG)' --name views-p1-fast

Computes the matching loss of a file, without the cross-entropy, for three kinds of views: the views
of its run; new views of the same networks (other augmentations, real images, weight mixtures); and
views of networks that the run did not use. `--real-batch` averages more real images per class,
which reduces the noise of small batches. Networks that are not cached are trained first.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from record import RESULTS, print_progress, write_result

from hmnpack.bundle import Bundle, read
from hmnpack.container import Container, container_of
from hmnpack.errors import BadSettings
from hmnpack.matching import (
    FeatureMatching,
    Match,
    Pool,
    RealData,
    load_or_train_pool,
    partition_classes,
)
from hmnpack.runtime.devices import choose_device
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.result import DataFacts
from hmnpack.settings import recorded_settings
from hmnpack.sources import Source, SourceOptions, open_source, seen_and_held_out_by

NEW = 1_000_003
"""Offset of the seed, for views that the run did not have."""


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bundle", type=Path, required=True, help="the .hmn file")
    parser.add_argument("--data", required=True, help="the dataset that the file was made from")
    parser.add_argument("--label", required=True, help="dataset name in tables")
    parser.add_argument("--name", required=True, help="name of the result file")
    parser.add_argument("--views", type=int, default=24, help="views per kind")
    parser.add_argument(
        "--real-batch", type=int, help="real images per class and view [default: the run's]"
    )
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    options = SourceOptions()
    source = open_source(args.data, options, print_progress)
    check = open_view_check(read(args.bundle), source, args.device, options.cache_root / "pool")
    if args.real_batch:
        check = check.with_real_batch(args.real_batch)
    losses = {
        "loss_own_views": check.loss(check.seen, args.views, own=True),
        "loss_new_views": check.loss(check.seen, args.views, own=False),
        "loss_other_networks": check.loss(check.others, args.views, own=False),
    }
    write_result(
        RESULTS,
        device=args.device,
        typed_data=args.data,
        name=args.name,
        recipe=check.config.recipe,
        seed=check.config.seed,
        data=DataFacts(name=args.label, fingerprint=source.train.fingerprint),
        figures={
            **losses,
            "views_of_each": args.views,
            "real_batch": check.config.match.real_batch,
            "views_of_the_run": check.config.match.views,
            "networks_of_the_run": check.config.pool.size,
            "steps_of_the_run": check.config.match.steps,
        },
    )
    print(*(f"{name} {loss:.4f}" for name, loss in losses.items()))


@dataclass(frozen=True)
class ViewCheck:
    """A file and the networks to compute its matching loss with.

    Attributes:
        container: The file's container.
        data: The real images of the run, partitioned as in the run.
        config: Settings of the run.
        seen: Networks that the run matched through.
        others: The same number of networks that it did not use.
    """

    container: Container
    data: RealData
    config: CompressConfig
    seen: Pool
    others: Pool

    def with_real_batch(self, count: int) -> "ViewCheck":
        """Return a copy with `count` real images per class, or part, in a view."""
        match = self.config.match.model_copy(update={"real_batch": count})
        return replace(self, config=self.config.model_copy(update={"match": match}))

    def loss(self, networks: Pool, views: int, *, own: bool) -> float:
        """Return the mean loss over views.

        Args:
            networks: Networks to match through.
            views: Number of views.
            own: Whether to use the run's views (random draws) rather than new ones.
        """
        changes = {"classification": 0.0} if own else {"classification": 0.0, "views": 0}
        config = self.config.match.model_copy(update=changes)
        seed = self.config.seed + (0 if own else NEW)
        objective = FeatureMatching(Match(self.data, networks, config, seed))
        losses = [objective.loss(self.container, step).item() for step in range(views)]
        return sum(losses) / views


def open_view_check(bundle: Bundle, source: Source, device: str, folder: Path) -> ViewCheck:
    """Return a file with the networks of its run and others.

    Args:
        bundle: Condensed from the source with cached views.
        source: The dataset.
        device: Device to compute on.
        folder: Cache folder of trained networks.

    Raises:
        BadSettings: if the run had no cached views.
    """
    manifest, config = bundle.manifest, recorded_settings(bundle.manifest)
    if config is None or not config.match.views or config.match.objective != "features":
        raise BadSettings(
            "the file was not made by matching mean features through cached views; give one of "
            "match.objective=features with match.views above 0"
        )
    used, _ = seen_and_held_out_by(manifest, source)
    place, spec = choose_device(device), manifest.container
    data = RealData(
        used.images.to(place),
        used.labels.to(place),
        len(source.classes),
        manifest.normalisation,
        used.fingerprint,
    )
    count = config.pool.size
    twice = config.pool.model_copy(update={"size": 2 * count})
    pool = load_or_train_pool(data, twice, config.seed, folder, print_progress)
    parts = config.match.parts_of(spec.each)
    data = partition_classes(data, pool.trained(0), parts, spec.each, config.seed)
    container = container_of(spec, bundle.tensors).to(place)
    seen, others = pool.some(range(count)), pool.some(range(count, 2 * count))
    return ViewCheck(container, data, config, seen, others)


if __name__ == "__main__":
    main()
