"""Algorithm 1 of the paper: selects the hard pruning rate beta that leaves the best images.

For each beta, networks are trained on the remaining images and tested on held-out images of the
training split (the paper uses the test split). Every beta trains the same networks with the same
random numbers. Betas that leave the same images, such as 0.5 and 0.6 when pruning 93 images to 85,
share their trainings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

import torch
from torch import Tensor

from hmnpack.pruning.margins import LabelledImages
from hmnpack.pruning.select import hardest_of, kept_images
from hmnpack.pruning.trainings import Trainings
from hmnpack.runtime.progress import Listener
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import PruneConfig
from hmnpack.schema.pruning import BetaScore
from hmnpack.training import accuracies, train_together
from hmnpack.training.loop import schedule_of


@dataclass(frozen=True)
class Search:
    """The inputs of the search for beta.

    Attributes:
        images: The synthetic images.
        margins: Area under the margin of each image, float32 [N] on the CPU.
        keep: Images to retain: one count for all classes, or one per class.
        held_out: Held-out real images, on the device of the synthetic ones.
        config: Trains ``networks`` networks of type ``network`` for each of ``betas``, with the
            settings ``train``.
        seed: Seed of the run.
    """

    images: LabelledImages
    margins: Tensor
    keep: int | Sequence[int]
    held_out: LabelledImages
    config: PruneConfig
    seed: int

    def hardest(self, beta: float) -> str:
        """Return how many of the hardest images of a class a beta drops, as text: ``"4"``.

        If classes drop different numbers of images, the text has one count per such number:
        ``"0-2-4"``.
        """
        counts = torch.bincount(self.images.labels, minlength=self.images.classes).cpu()
        surplus = counts - torch.as_tensor(self.keep)
        return "-".join(str(hardest_of(beta, each)) for each in surplus.unique().tolist())

    def left_by(self, beta: float) -> LabelledImages:
        """Return the images that remain for a beta."""
        labels = self.images.labels.cpu()
        kept = kept_images(self.margins, labels, self.keep, "double-end", beta=beta)
        return self.images.subset(torch.cat(kept))


def best_beta(search: Search, trainings: Trainings) -> tuple[float, tuple[BetaScore, ...]]:
    """Return the beta with the highest mean accuracy, the first in case of a tie, and all scores.

    Args:
        search: The inputs of the search.
        trainings: Runs and caches the trainings, under the names ``beta/<hardest dropped>/<i>``.

    Raises:
        Diverged: if a loss is infinite or NaN.
    """
    networks = range(search.config.networks)
    names = {
        beta: [f"beta/{search.hardest(beta)}/{index}" for index in networks]
        for beta in search.config.betas
    }
    jobs = {
        name: (beta, index) for beta in names for index, name in enumerate(names[beta])
    }  # betas that share a training leave the same images, so the last one can stand for all

    def train_some(names: Sequence[str], listener: Listener) -> Tensor:
        found = _accuracies(search, [jobs[name] for name in names], listener)
        return torch.tensor(found, dtype=torch.float64)

    device = search.images.pixels.device
    world_device = device if trainings.world.size > 1 else "cpu"
    like = torch.zeros((), dtype=torch.float64, device=world_device)
    found = trainings.run("pruning", list(jobs), train_some, like, device)
    scores = tuple(
        BetaScore(beta=beta, accuracies=tuple(float(found[name]) for name in names[beta]))
        for beta in search.config.betas
    )
    return max(scores, key=lambda score: mean(score.accuracies)).beta, scores


def _accuracies(
    search: Search, jobs: Sequence[tuple[float, int]], listener: Listener
) -> list[float]:
    """Return the accuracies, in percent, of networks trained on the images that remain.

    Args:
        search: The inputs of the search.
        jobs: The beta and the index of each network.
        listener: Called after every epoch; the last call has the mean accuracy.
    """
    config, real = search.config, search.held_out
    left = {beta: search.left_by(beta) for beta in dict(jobs)}
    sets = [(left[beta].pixels, left[beta].labels) for beta, _ in jobs]
    # Names omit beta, so that betas differ only in the images.
    names = [f"prune/{index}" for _, index in jobs]
    epochs = len(jobs) * schedule_of(config.train, len(sets[0][1]), config.min_steps).epochs
    last: dict[str, float] = {}

    def before_the_end(stage: str, done: int, total: int, **facts: float) -> None:
        if done < total:
            listener(stage, done, total, **facts)
        else:
            last.update(facts)  # reported below, with the accuracy

    starts = [stream(search.seed, name, "network") for name in names]
    networks = [search.images.network(config.network, start) for start in starts]
    train_together(
        networks,
        sets,
        config.train,
        normalisation=search.images.normalisation,
        seed=search.seed,
        names=names,
        min_steps=config.min_steps,
        listener=before_the_end,
    )
    found = accuracies(
        networks,
        real.pixels,
        real.labels,
        normalisation=real.normalisation,
        precision=config.train.precision,
    )
    listener(names[0], epochs, epochs, **last, accuracy=mean(found))
    return found
