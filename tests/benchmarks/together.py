"""Batched training of several networks on one device, against training them sequentially.

New ConvNet-3s with evaluation settings, each with its own order and augmentation, are trained for a
few epochs on shared images or, with --own, on separate images: in one batch by `train_together`,
and one after another by `train`. Both start from the same weights.

`ratio` is the sequential time over the batched time. `ratio_tested` is the same for testing on
5,000 images, or as many as there are. `seconds_*` and `images_per_second_*` cover all networks.
`difference_float32` is the largest difference between the weights of the two after one epoch in
float32, relative to the largest weight; it should be of the order of rounding errors.
"""

import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from harness import parser, report
from step_parts.setting import CLASSES, IMAGE, Setting, setting_of
from torch import Tensor, nn

from hmnpack.networks import build_network
from hmnpack.runtime.devices import choose_device, wait_for
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig, Precision, TrainConfig
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.result import Figure
from hmnpack.training import accuracies, accuracy, train, train_together

TEST_IMAGES = 5000


@dataclass(frozen=True)
class Bench:
    """Networks and data, and both ways to train them.

    Attributes:
        setting: Data.
        network: Architecture.
        sets: Images and labels of each network.
        epochs: Training epochs.
    """

    setting: Setting
    network: NetworkConfig
    sets: list[tuple[Tensor, Tensor]]
    epochs: int

    def networks(self) -> list[nn.Module]:
        starts = [stream(0, "network", index) for index in range(len(self.sets))]
        return [
            build_network(self.network, classes=CLASSES, image=IMAGE, generator=start).to(
                self.setting.data.device
            )
            for start in starts
        ]

    def names(self) -> list[str]:
        return [f"benchmark/{index}" for index in range(len(self.sets))]

    def config(self, precision: Precision, epochs: int) -> TrainConfig:
        changes = {"epochs": epochs, "precision": precision}
        return EvaluateConfig().train.model_copy(update=changes)

    def at_once(
        self, networks: list[nn.Module], precision: Precision = "auto", epochs: int | None = None
    ) -> None:
        train_together(
            networks,
            self.sets,
            self.config(precision, epochs or self.epochs),
            normalisation=self.setting.data.normalisation,
            seed=0,
            names=self.names(),
        )

    def in_turns(
        self, networks: list[nn.Module], precision: Precision = "auto", epochs: int | None = None
    ) -> None:
        for network, images, name in zip(networks, self.sets, self.names(), strict=True):
            train(
                network,
                *images,
                self.config(precision, epochs or self.epochs),
                normalisation=self.setting.data.normalisation,
                seed=0,
                name=name,
            )

    def tested_at_once(self, networks: list[nn.Module]) -> list[float]:
        data = self.setting.data
        test = data.images[:TEST_IMAGES], data.labels[:TEST_IMAGES]
        return accuracies(networks, *test, normalisation=data.normalisation)

    def tested_in_turns(self, networks: list[nn.Module]) -> list[float]:
        data = self.setting.data
        test = data.images[:TEST_IMAGES], data.labels[:TEST_IMAGES]
        return [accuracy(one, *test, normalisation=data.normalisation) for one in networks]

    def difference(self) -> float:
        """Return the largest weight difference between the ways, relative to the largest weight."""
        ends = []
        for way in (self.at_once, self.in_turns):
            networks = self.networks()
            way(networks, "float32", 1)
            weights = [weight.flatten() for one in networks for weight in one.parameters()]
            ends.append(torch.cat(weights).detach())
        return float((ends[0] - ends[1]).abs().max() / ends[1].abs().max())


def bench_of(args: Namespace, device: torch.device) -> Bench:
    setting = setting_of(args.data, args.width, device)
    data, sets = setting.data, []
    for index in range(args.networks):
        order = torch.randperm(len(data.labels), generator=stream(0, "set", index * args.own))
        rows = order[: args.images].to(device)
        sets.append((data.images[rows], data.labels[rows]))
    sets = sets if args.own else sets[:1] * args.networks
    network = NetworkConfig(name=args.net, width=args.width)
    return Bench(setting, network, sets, args.epochs)


def timed(
    bench: Bench, ways: dict[str, Callable[[list[nn.Module]], object]], rounds: int
) -> dict[str, float]:
    """Return the median seconds of each way on new networks, alternating, after one warm-up."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    device = bench.setting.data.device
    for _ in range(1 + rounds):
        for name, way in ways.items():
            networks = bench.networks()
            wait_for(device)
            begun = time.perf_counter()
            way(networks)
            wait_for(device)
            taken[name].append(time.perf_counter() - begun)
    return {name: median(values[1:]) for name, values in taken.items()}


def figures_of(bench: Bench, rounds: int) -> dict[str, Figure]:
    """Return all metrics."""
    ways: dict[str, Callable[[list[nn.Module]], object]] = {
        "at_once": bench.at_once,
        "in_turns": bench.in_turns,
        "tested_at_once": bench.tested_at_once,
        "tested_in_turns": bench.tested_in_turns,
    }
    seconds = timed(bench, ways, rounds)
    images = len(bench.sets) * len(bench.sets[0][1])
    return {
        "ratio": seconds["in_turns"] / seconds["at_once"],
        "ratio_tested": seconds["tested_in_turns"] / seconds["tested_at_once"],
        **{f"seconds_{name}": taken for name, taken in seconds.items()},
        "images_per_second_at_once": images * bench.epochs / seconds["at_once"],
        "images_per_second_in_turns": images * bench.epochs / seconds["in_turns"],
        "difference_float32": bench.difference(),
    }


def main() -> None:
    """Measure and report."""
    options = parser()
    options.set_defaults(device="auto")
    options.add_argument("--networks", type=int, default=10, help="number of networks")
    options.add_argument("--net", default="convnet", help="architecture")
    options.add_argument("--width", type=int, default=128, help="ConvNet width (channels)")
    options.add_argument("--images", type=int, default=832, help="images per network")
    options.add_argument("--own", action="store_true", help="each network has its own images")
    options.add_argument("--epochs", type=int, default=4, help="training epochs")
    options.add_argument("--rounds", type=int, default=3, help="timed trainings per variant")
    args = options.parse_args()
    device = choose_device(args.device)
    bench = bench_of(args, device)
    figures = {
        **figures_of(bench, args.rounds),
        "networks": args.networks,
        "images": len(bench.sets[0][1]),
        "epochs": args.epochs,
        "width": args.width,
        "rounds": args.rounds,
        "threads": torch.get_num_threads(),
    }
    report(figures, data=bench.setting.facts, device=str(device), seed=0, save=args.save)


if __name__ == "__main__":
    main()
