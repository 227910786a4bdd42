"""Print how gradient matching scales with the number of ranks, or measure it.

    python examples/cluster/scaling.py
    torchrun --nproc-per-node 2 examples/cluster/scaling.py --measure

A step on R ranks takes ``t(R) = t_training + ceil(K / R) * t_class + t_message``: each rank matches
its share of the K classes, all ranks train the network, and gradients of shared parameters are
summed. The table uses the package's FLOP counts for t_training and t_class and neglects messages.
`--measure` alternates steps of rank 0 alone with steps of all ranks. The former yield t_training
and t_class, from which the model predicts the duration of the latter.
"""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median

import torch

from hmnpack.condensing.adam import ContainerAdam
from hmnpack.condensing.cost import costs_of
from hmnpack.condensing.stage_cost import Run
from hmnpack.container import HMN, new_container
from hmnpack.container.budget import plan
from hmnpack.matching import GradientMatching, Match, RealData
from hmnpack.runtime.devices import choose_device, wait_for
from hmnpack.runtime.machine import commit, machine_facts, without_folders
from hmnpack.runtime.ranks import ALONE, World, joined
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import ContainerConfig, GradientConfig, NetworkConfig, TrainConfig
from hmnpack.schema.container import HmnSpec, ImageShape
from hmnpack.schema.manifest import Normalisation
from hmnpack.schema.recipes import DataShape, paper
from hmnpack.schema.result import Figure, Result

RANKS = (1, 2, 4, 8, 64)
SETS = (
    ("CIFAR-10", "cifar10", 10, 32, 50_000),
    ("CIFAR-100", "cifar100", 100, 32, 50_000),
    ("Tiny-ImageNet-200", "tiny-imagenet", 200, 64, 100_000),
    ("ImageNet-1k, 64 x 64", "imagenet-1k", 1000, 64, 1_281_167),
    ("ImageNet-10, 224 x 224", "imagenet-10", 10, 224, 13_000),
)
"""Title, name, classes, side in pixels, training images."""

COMMIT = commit()
"""Commit of the running code, read at import: the tree may change during a measurement."""


@dataclass(frozen=True)
class Step:
    """Cost of one step, in FLOPs or in seconds.

    Attributes:
        classes: Number of classes K.
        training: Training the network, on every rank.
        matching: Matching all classes, which is divided among the ranks.
        messages: Communication.
    """

    classes: int
    training: float
    matching: float
    messages: float = 0.0

    def of_ranks(self, ranks: int) -> float:
        """Return the cost on the rank with the most classes."""
        share = ceil(self.classes / ranks) / self.classes
        return self.training + share * self.matching + (self.messages if ranks > 1 else 0.0)

    def speed_up(self, ranks: int) -> float:
        """Return the speed-up of `ranks` ranks over one."""
        return self.of_ranks(1) / self.of_ranks(ranks)


def main(words: list[str] | None = None) -> None:
    """Print the table, or measure and print the metrics."""
    args = _arguments(words)
    if not args.measure:
        print(table(args.ipc))
        return
    device = choose_device(args.device)
    with joined(device) as world:
        figures = measure(args, device, world)
        if world.rank == 0:
            report(figures, device, args.save)


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--ipc", type=int, default=1, help="budget of the table's containers")
    parser.add_argument("--measure", action="store_true", help="time steps on random images")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--classes", type=int, default=12)
    parser.add_argument("--width", type=int, default=32, help="network width (channels)")
    parser.add_argument(
        "--images", type=int, default=32, help="real, and synthetic, images per class"
    )
    parser.add_argument(
        "--train-images", type=int, default=256, help="images trained on after each step"
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed steps per variant")
    parser.add_argument("--save", type=Path, help="result file to write")
    return parser.parse_args(words)


def table(ipc: int) -> str:
    """Return the table as Markdown."""
    heads = ["data", "network", "TFLOP a step", "shared", "MB sent"]
    heads += [f"R = {ranks}" for ranks in RANKS]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for title, name, classes, side, images in SETS:
        shape = ImageShape(channels=3, height=side, width=side)
        run = _run(DataShape(name=name, classes=classes, image=shape), images, ipc)
        step, network = count_operations(run), run.config.gradient.network
        speed_ups = [f"{step.speed_up(r):.2f}" if r <= classes else "-" for r in RANKS]
        whole = step.of_ranks(1)
        facts = [title, network.name, f"{whole / 1e12:.1f}", f"{step.matching / whole:.1%}"]
        lines.append("| " + " | ".join([*facts, f"{bytes_sent(run) / 1e6:.1f}", *speed_ups]) + " |")
    return "\n".join(lines)


def _run(data: DataShape, images: int, ipc: int) -> Run:
    config = paper(data)
    spec = plan(ipc, data.classes, data.image, config.container)
    return Run(config, spec, round(images * (1 - config.holdout)))


def count_operations(run: Run) -> Step:
    """Return the FLOPs of a step of gradient matching."""
    (stage,) = [stage for stage in costs_of(run) if stage.name == "gradient"]
    training = sum(part.flops for part in stage.parts if part.work == "training")
    steps = run.config.gradient.steps
    return Step(run.spec.classes, training / steps, (stage.flops - training) / steps)


def bytes_sent(run: Run) -> int:
    """Return the bytes communicated per step: shared gradients and the network's weights."""
    rows = run.spec.ledger().rows
    shared = [row.bytes for row in rows if row.name.startswith(("memory.dataset", "decoder."))]
    return sum(shared) + run.profile(run.config.gradient.network).weight_bytes


class Steps:
    """Steps of gradient matching as in a compression run.

    Args:
        data: Real images.
        spec: Container specification.
        config: Gradient matching settings.
        world: Ranks that divide the classes.
    """

    def __init__(self, data: RealData, spec: HmnSpec, config: GradientConfig, world: World) -> None:
        self.container = new_container(spec, ContainerConfig(), stream(0, "container"))
        assert isinstance(self.container, HMN)
        self.container.freeze()
        self.container.to(data.device)
        self.objective = GradientMatching(Match(data, None, config, 0, world))
        self.adam = ContainerAdam(self.container, (0.9, 0.99), world)
        self.adam.set_rate(config.lr)

    def __call__(self, step: int) -> None:
        """Run one step."""
        self.adam.step(self.objective.loss(self.container, step))

    def messages(self, _: int) -> None:
        """Communicate what a step communicates, without computing."""
        world = self.objective.match.world
        world.add([torch.zeros_like(shared) for shared in self.adam.shared.values()])
        world.broadcast(self.objective.learner.network.state_dict().values())
        world.any(False, False)


def measure(args: argparse.Namespace, device: torch.device, world: World) -> dict[str, Figure]:
    """Return metrics of alternating steps on rank 0 alone and on all ranks."""
    data, spec = _noise(args.classes, device), _spec(args.classes)
    config = _config(args)
    together = Steps(data, spec, config, world)
    kinds: dict[str, tuple[Callable[[int], None], bool]] = {
        "alone": (Steps(data, spec, config, ALONE), False),
        "untrained": (
            Steps(data, spec, config.model_copy(update={"train_images": 0}), ALONE),
            False,
        ),
        "together": (together, True),
        "messages": (together.messages, True),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for step in range(1 + args.repeats):
        for name, (run, by_all) in kinds.items():
            taken[name].append(_timed(run, step, device, world, by_all=by_all))
    facts = {"ranks": world.size, "threads": torch.get_num_threads()}
    facts |= {name: getattr(args, name) for name in ("classes", "width", "images")}
    facts |= {"train_images": args.train_images, "repeats": args.repeats}
    facts["load_1_minute"] = round(os.getloadavg()[0], 1)
    figures: dict[str, Figure] = dict(facts)
    for index, clock in enumerate(("seconds", "cpu_seconds")):
        medians = {name: median(pair[index] for pair in pairs[1:]) for name, pairs in taken.items()}
        if clock == "seconds" or device.type == "cpu":
            figures |= _compared(medians, args.classes, world.size, clock)
    return figures


def _compared(medians: dict[str, float], classes: int, ranks: int, clock: str) -> dict[str, Figure]:
    """Return the measured durations and the model's predictions."""
    training = max(0.0, medians["alone"] - medians["untrained"])
    step = Step(classes, training, medians["untrained"], medians["messages"])
    prefix = clock.removesuffix("seconds")
    return {
        f"{clock}_training": training,
        f"{clock}_class": step.matching / classes,
        f"{clock}_messages": step.messages,
        f"{clock}_1_rank": medians["alone"],
        f"{clock}_all_ranks": medians["together"],
        f"{clock}_all_ranks_predicted": step.of_ranks(ranks),
        f"{prefix}speed_up": medians["alone"] / medians["together"],
        f"{prefix}speed_up_predicted": step.speed_up(ranks),
    }


def _timed(
    run: Callable[[int], None], step: int, device: torch.device, world: World, *, by_all: bool
) -> tuple[float, float]:
    """Return the maximum wall-clock and CPU time of a call over the participating ranks."""
    world.wait()
    place = (
        device if device.type == "cuda" else "cpu"
    )  # other devices lack float64 or communicate through the CPU
    taken = torch.zeros(world.size, 2, dtype=torch.float64, device=place)
    if by_all or world.rank == 0:
        wait_for(device)
        begun = time.perf_counter(), time.process_time()
        run(step)
        wait_for(device)
        ended = time.perf_counter(), time.process_time()
        taken[world.rank] = torch.tensor([b - a for a, b in zip(begun, ended, strict=True)])
    world.wait()
    world.add([taken])
    wall, cpu = taken.max(0).values.tolist()
    return wall, cpu


def _spec(classes: int) -> HmnSpec:
    return plan(1, classes, ImageShape(channels=3, height=32, width=32), ContainerConfig())


def _noise(classes: int, device: torch.device) -> RealData:
    labels = torch.arange(100 * classes) % classes
    shape = (len(labels), 3, 32, 32)
    images = torch.randint(256, shape, generator=stream(0, "noise"), dtype=torch.uint8)
    normalisation = Normalisation(mean=(0.5,) * 3, std=(0.25,) * 3)
    return RealData(images.to(device), labels.to(device), classes, normalisation, "noise")


def _config(args: argparse.Namespace) -> GradientConfig:
    return GradientConfig(
        networks=1,
        inner_steps=10_000,  # no measured step starts a new network
        network=NetworkConfig(width=args.width),
        real_batch=args.images,
        synthetic_batch=args.images,
        train_images=args.train_images,
        train=TrainConfig(epochs=0, batch=128, schedule="constant"),
    )


def report(figures: dict[str, Figure], device: torch.device, save: Path | None) -> None:
    """Print the metrics, and write them to `save` if given."""
    for name, value in figures.items():
        print(f"{name:34}{value:.4g}" if isinstance(value, float) else f"{name:34}{value}")
    if save is None:
        return
    options = shlex.join(without_folders(sys.argv[1:]))
    launch = f"torchrun --nproc-per-node {figures['ranks']} examples/cluster/scaling.py"
    result = Result(
        name="scaling",
        command=f"{launch} {options}",
        commit=COMMIT,
        seed=0,
        machine=machine_facts(device),
        figures=figures,
    )
    save.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
