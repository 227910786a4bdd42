"""Algorithm 1 of the paper: the hard pruning rate that leaves the best images.

For each beta networks are trained on the images that it leaves, and tested on real images that
were held out of the training split (the paper tests on the test split). The same networks are
trained for every beta, with the same random numbers. Betas that leave the same images, as 0.5 and
0.6 do of 93 pruned to 85, share their trainings.
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
    """What a beta is chosen for.

    Attributes:
        images: The synthetic images.
        margins: Of each of them, float32 [N] on the CPU.
        keep: Images to keep: per class, or of each class.
        held_out: Real images that condensing never saw, on the same device.
        config: ``betas``; ``networks`` of ``network`` for each, trained by ``train``.
        seed: Seed of the run.
    """

    images: LabelledImages
    margins: Tensor
    keep: int | Sequence[int]
    held_out: LabelledImages
    config: PruneConfig
    seed: int

    def hardest(self, beta: float) -> str:
        """Return how many of the hardest a beta drops of a class: ``"4"``.

        Where classes drop unequal numbers of images, one for each such number: ``"0-2-4"``.
        """
        counts = torch.bincount(self.images.labels, minlength=self.images.classes).cpu()
        surplus = counts - torch.as_tensor(self.keep)
        return "-".join(str(hardest_of(beta, each)) for each in surplus.unique().tolist())

    def left_by(self, beta: float) -> LabelledImages:
        """Return the images that a beta leaves."""
        labels = self.images.labels.cpu()
        kept = kept_images(self.margins, labels, self.keep, "double-end", beta=beta)
        return self.images.subset(torch.cat(kept))


def best_beta(search: Search, trainings: Trainings) -> tuple[float, tuple[BetaScore, ...]]:
    """Return the beta whose images teach best, the first of equally good ones, and all scores.

    Args:
        search: What it is chosen for.
        trainings: How networks are trained, and how many at once. Their names are
            ``beta/<hardest dropped>/<i>``.

    Raises:
        Diverged: if a loss is infinite or not a number.
    """
    networks = range(search.config.networks)
    names = {
        beta: [f"beta/{search.hardest(beta)}/{index}" for index in networks]
        for beta in search.config.betas
    }
    jobs = {
        name: (beta, index) for beta in names for index, name in enumerate(names[beta])
    }  # of the betas that share a training the last one remains: each leaves the same images

    def train_some(names: Sequence[str], listener: Listener) -> Tensor:
        found = _accuracies(search, [jobs[name] for name in names], listener)
        return torch.tensor(found, dtype=torch.float64)

    device = search.images.pixels.device
    talks_from = device if trainings.world.size > 1 else "cpu"
    like = torch.zeros((), dtype=torch.float64, device=talks_from)
    found = trainings.run("pruning", list(jobs), train_some, like, device)
    scores = tuple(
        BetaScore(beta=beta, accuracies=tuple(float(found[name]) for name in names[beta]))
        for beta in search.config.betas
    )
    return max(scores, key=lambda score: mean(score.accuracies)).beta, scores


def _accuracies(
    search: Search, jobs: Sequence[tuple[float, int]], listener: Listener
) -> list[float]:
    """Return the accuracies in percent of networks that are trained on what betas leave.

    Args:
        search: What is chosen for.
        jobs: The beta and the number of each network.
        listener: Hears of every epoch, at the last one with the mean accuracy.
    """
    config, real = search.config, search.held_out
    left = {beta: search.left_by(beta) for beta in dict(jobs)}
    sets = [(left[beta].pixels, left[beta].labels) for beta, _ in jobs]
    # Without beta: what differs between betas is the images.
    names = [f"prune/{index}" for _, index in jobs]
    epochs = len(jobs) * schedule_of(config.train, len(sets[0][1]), config.min_steps).epochs
    last: dict[str, float] = {}

    def before_the_end(stage: str, done: int, total: int, **facts: float) -> None:
        if done < total:
            listener(stage, done, total, **facts)
        else:
            last.update(facts)  # the accuracy is still to come

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
