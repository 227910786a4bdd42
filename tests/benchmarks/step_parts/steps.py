"""Timed variants: the literal step, ours, decoding alone, and a matrix product."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parents[2] / "matching"))
from literal import (
    PlainConvNet,
    gradient_distance,
    literal_training,
    new_optimiser,
    real_gradients,
    synthetic_gradients,
)
from step_parts.setting import CLASSES, REAL, TRAINING, Setting

from hmnpack.augment import draw
from hmnpack.condensing.adam import ContainerAdam
from hmnpack.container import HMN
from hmnpack.matching import Match
from hmnpack.matching.gradient import GradientMatching
from hmnpack.matching.sampling import ClassSampler, choose_instances
from hmnpack.runtime.devices import autocast, wait_for
from hmnpack.runtime.ranks import ALONE
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import MATCHING_AUGMENTATIONS, GradientConfig, Precision


def adam(container: HMN) -> torch.optim.Adam:
    return torch.optim.Adam(container.parameters(), 0.01, (0.9, 0.99))


class Watch:
    """Accumulates the seconds of a step's parts, synchronising before and after each part."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        wait_for(self.device)
        begun = time.perf_counter()
        yield
        wait_for(self.device)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun


class NoWatch:
    """Does not synchronise between parts, as in an actual run."""

    def part(self, name: str) -> contextlib.AbstractContextManager[None]:
        del name
        return contextlib.nullcontext()


class Cast:
    """A network whose calls run at a precision; its logits are float32."""

    def __init__(self, network: PlainConvNet, device: torch.device, precision: Precision) -> None:
        self.network, self.device, self.precision = network, device, precision

    def parameters(self) -> Iterator[nn.Parameter]:
        return self.network.parameters()

    def __call__(self, images: Tensor) -> Tensor:
        with autocast(self.device, self.precision):
            logits = self.network(images)
        return logits.float()


class Literal:
    """The literal step: a loop over classes, then the network's training."""

    def __init__(self, setting: Setting, precision: Precision) -> None:
        self.data, self.container = setting.data, setting.container()
        self.adam = adam(self.container)
        network = setting.network()
        self.network = Cast(PlainConvNet(network), setting.data.device, precision)
        self.optimiser = new_optimiser(network)
        self.sampler = ClassSampler(self.data.labels, CLASSES)

    def __call__(self, step: int, watch: Watch | NoWatch) -> None:
        generator = stream(0, "literal", step)
        draws = draw(MATCHING_AUGMENTATIONS, CLASSES, generator, device=self.data.device)
        real = self.sampler.draw(REAL, generator).to(self.data.device)
        chosen = choose_instances(self.container.spec, 128, generator).to(self.data.device)
        for number in range(CLASSES):
            one = draws.index(torch.tensor([number], device=self.data.device))
            facts = (one, self.data.normalisation)
            with watch.part("real"):
                theirs = real_gradients(self.network, number, self._pixels(real[number]), *facts)
            with watch.part("decode"):
                images = self.container.expand(chosen[number])
            leaf = images.detach().requires_grad_()
            with watch.part("synthetic"):
                ours = synthetic_gradients(self.network, number, leaf, *facts)
                gradient_distance(theirs, ours).backward()
            with watch.part("decode"):
                self.adam.zero_grad()
                images.backward(leaf.grad)
                self.adam.step()
        with watch.part("training"):
            self._train(generator)

    def _pixels(self, rows: Tensor) -> Tensor:
        return self.data.images[rows].float() / 255

    def _train(self, generator: torch.Generator) -> None:
        rows = torch.randperm(len(self.data.labels), generator=generator)[:TRAINING]
        rows = rows.to(self.data.device)
        literal_training(
            self.network,
            self.optimiser,
            self._pixels(rows),
            self.data.labels[rows],
            normalisation=self.data.normalisation,
            generator=generator,
        )


class Ours:
    """The objective ``GradientMatching``, with our own Adam step."""

    def __init__(self, setting: Setting, config: GradientConfig) -> None:
        self.container = setting.container()
        self.objective = GradientMatching(Match(setting.data, None, config, 0))
        self.adam = ContainerAdam(self.container, (0.9, 0.99), ALONE)
        self.adam.set_rate(0.01)

    def __call__(self, step: int, watch: Watch | NoWatch) -> None:
        with watch.part("all"):
            self.adam.step(self.objective.loss(self.container, step))


class Decode:
    """Decoding all images at once, the backward pass, and one Adam step."""

    def __init__(self, setting: Setting) -> None:
        self.container = setting.container()
        self.adam = adam(self.container)

    def __call__(self, step: int, watch: Watch | NoWatch) -> None:
        del step
        with watch.part("all"):
            images = self.container.expand()
            self.adam.zero_grad()
            images.backward(torch.ones_like(images))
            self.adam.step()


class Product:
    """A large matrix product, as the machine's peak rate."""

    def __init__(self, device: torch.device, precision: Precision) -> None:
        self.side = 8192 if device.type == "cuda" else 2048
        self.matrix = torch.randn(self.side, self.side, device=device)
        if precision == "bfloat16":
            self.matrix = self.matrix.bfloat16()

    def __call__(self, step: int, watch: Watch | NoWatch) -> None:
        del step
        with watch.part("all"):
            self.matrix @ self.matrix


Runner = Callable[[int, Watch | NoWatch], None]
"""Runs the step of the given index and reports its parts to the watch."""
