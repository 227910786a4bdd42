"""Algorithm 1 of the paper: the hard pruning rate that leaves the best images.

For each beta networks are trained on the images that it leaves, and tested on real images that
were held out of the training split (the paper tests on the test split). The same networks are
trained for every beta, with the same random numbers. Betas that leave the same images, as 0.5 and
0.6 do of 93 pruned to 85, share their trainings.
"""

from dataclasses import dataclass
from statistics import mean

import torch
from torch import Tensor

from hmnpack.networks import build_network
from hmnpack.pruning.margins import LabelledImages
from hmnpack.pruning.select import hardest_of, kept_images
from hmnpack.pruning.trainings import Trainings
from hmnpack.runtime import Listener, stream
from hmnpack.schema.config import PruneConfig
from hmnpack.schema.manifest import BetaScore
from hmnpack.training import accuracy, schedule_of, train


@dataclass(frozen=True)
class Search:
    """What a beta is chosen for.

    Attributes:
        images: The synthetic images, as many of each class.
        margins: Of each of them, float32 [N] on the CPU.
        keep: Images per class to keep.
        held_out: Real images that condensing never saw, on the same device.
        config: ``betas``; ``networks`` of ``network`` for each, trained by ``train``.
        seed: Seed of the run.
    """

    images: LabelledImages
    margins: Tensor
    keep: int
    held_out: LabelledImages
    config: PruneConfig
    seed: int

    def hardest(self, beta: float) -> int:
        """Return how many of the hardest a beta drops of each class."""
        return hardest_of(beta, len(self.images) // self.images.classes - self.keep)

    def left_by(self, beta: float) -> LabelledImages:
        """Return the images that a beta leaves."""
        labels = self.images.labels.cpu()
        kept = kept_images(self.margins, labels, self.keep, "double-end", beta=beta)
        return self.images.subset(kept.flatten())


def best_beta(search: Search, trainings: Trainings) -> tuple[float, tuple[BetaScore, ...]]:
    """Return the beta whose images teach best, the first of equally good ones, and all scores.

    Args:
        search: What it is chosen for.
        trainings: How networks are trained. Their names are ``beta/<hardest dropped>/<i>``.

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

    def one(name: str, listener: Listener) -> Tensor:
        beta, index = jobs[name]
        return torch.tensor(_accuracy(search, beta, index, listener), dtype=torch.float64)

    talks_from = search.images.pixels.device if trainings.world.size > 1 else "cpu"
    like = torch.zeros((), dtype=torch.float64, device=talks_from)
    found = trainings.run("pruning", list(jobs), one, like)
    scores = tuple(
        BetaScore(beta=beta, accuracies=tuple(float(found[name]) for name in names[beta]))
        for beta in search.config.betas
    )
    return max(scores, key=lambda score: mean(score.accuracies)).beta, scores


def _accuracy(search: Search, beta: float, index: int, listener: Listener) -> float:
    """Return the accuracy in percent of one network that is trained on what a beta leaves."""
    images, config, real = search.left_by(beta), search.config, search.held_out
    name = f"prune/{index}"  # without beta: what differs between betas is the images
    epochs = schedule_of(config.train, len(images), config.min_steps).epochs
    last: dict[str, float] = {}

    def before_the_end(stage: str, done: int, total: int, **facts: float) -> None:
        if done < total:
            listener(stage, done, total, **facts)
        else:
            last.update(facts)  # the accuracy is still to come

    network = build_network(
        config.network,
        classes=images.classes,
        image=images.shape,
        generator=stream(search.seed, name, "network"),
    ).to(images.pixels.device)
    train(
        network,
        images.pixels,
        images.labels,
        config.train,
        normalisation=images.normalisation,
        seed=search.seed,
        name=name,
        min_steps=config.min_steps,
        listener=before_the_end,
    )
    found = accuracy(
        network,
        real.pixels,
        real.labels,
        normalisation=real.normalisation,
        precision=config.train.precision,
    )
    listener(name, epochs, epochs, **last, accuracy=found)
    return found
