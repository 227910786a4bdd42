"""Training a classifier on images in memory, against a typical research loop.

The plain loop is a DataLoader with two persistent workers over a Dataset of arrays, with per-image
torchvision transforms (flip, colour jitter, one of crop, scale and rotation, to tensor, normalise),
CutMix on half of the batches, and SGD with momentum and a cosine schedule. Ours is
`hmnpack.training.train` with evaluation settings. Both train a ConvNet-3 in batches of 64,
alternating by epoch, in float32 and, if the device supports bfloat16 natively, under autocast.

`ratio` is our images per second over the plain loop's, whose ConvNet uses torch's layers; in
`ratio_same_network` both use our network. `ratio_bf16` compares our training in bfloat16, the
default on such devices, with the plain loop in float32; in `ratio_bf16_alike` both use bfloat16.
`images_per_second_loader` is the loader alone, without training.
"""

import time
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from harness import parser, report
from PIL import Image
from step_parts.setting import CLASSES, IMAGE, Setting, setting_of
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from hmnpack.augment import cutmix
from hmnpack.runtime.devices import autocast, choose_device, multiplies_bfloat16, wait_for
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import Precision
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Normalisation
from hmnpack.schema.result import Figure
from hmnpack.training import train
from hmnpack.training.loop import full_precision

BATCH, WORKERS = 64, 2
CONFIG = EvaluateConfig().train.model_copy(update={"epochs": 1, "batch": BATCH})


class Images(Dataset[tuple[Tensor, int]]):
    """Images of an array, each opened, transformed and converted to a tensor on access."""

    def __init__(self, images: Tensor, labels: Tensor, normalisation: Normalisation) -> None:
        self.arrays = images.permute(0, 2, 3, 1).cpu().numpy()
        self.labels = labels.tolist()
        spatial = (
            transforms.RandomCrop(IMAGE.height, padding=IMAGE.height // 8),
            transforms.RandomAffine(0, scale=(1 / 1.2, 1.2)),
            transforms.RandomRotation(15),
        )
        self.transform = transforms.Compose(
            (
                transforms.RandomHorizontalFlip(),
                transforms.ColorJitter(brightness=0.5, contrast=0.5, saturation=1.0),
                transforms.RandomChoice(spatial),
                transforms.ToTensor(),
                transforms.Normalize(normalisation.mean, normalisation.std),
            )
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.arrays[index])), self.labels[index]


def loader_of(setting: Setting, count: int, workers: int = WORKERS) -> DataLoader:
    """Return the plain loop's loader over the first `count` images."""
    data = setting.data
    images = Images(data.images[:count], data.labels[:count], data.normalisation)
    return DataLoader(
        images,
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=data.device.type == "cuda",
    )


def plain_network(width: int) -> nn.Sequential:
    """Return the ConvNet-3 as written in the code that condensation papers build on."""
    layers: list[nn.Module] = []
    for index in range(3):
        layers += [nn.Conv2d(width if index else IMAGE.channels, width, 3, padding=1)]
        layers += [nn.GroupNorm(width, width), nn.ReLU(inplace=True), nn.AvgPool2d(2)]
    side = IMAGE.height // 8
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * side**2, CLASSES))


class PlainLoop:
    """A network with optimiser, schedule and a loop over a loader."""

    def __init__(
        self, network: nn.Module, loader: DataLoader, device: torch.device, precision: Precision
    ) -> None:
        self.network, self.loader, self.device = network.to(device), loader, device
        self.precision = precision
        self.optimiser = torch.optim.SGD(
            network.parameters(), CONFIG.lr, CONFIG.momentum, weight_decay=CONFIG.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, 10_000)
        self.generator = stream(0, "cutmix")

    def __call__(self) -> None:
        """Train for one epoch."""
        self.network.train()
        for images, labels in self.loader:
            loss = self.loss(
                images.to(self.device, non_blocking=True),
                labels.to(self.device, non_blocking=True),
            )
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.schedule.step()

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch, with CutMix on half of the batches."""
        if float(torch.rand((), generator=self.generator)) >= CONFIG.cutmix:
            return F.cross_entropy(self.logits(images), labels)
        images, partner, kept = cutmix(images, self.generator)
        logits = self.logits(images)
        own, other = F.cross_entropy(logits, labels), F.cross_entropy(logits, labels[partner])
        return kept * own + (1 - kept) * other

    def logits(self, images: Tensor) -> Tensor:
        """Return the network's logits of a batch."""
        with autocast(self.device, self.precision):
            return full_precision(self.network(images))


class Ours:
    """Our training, one epoch per call."""

    def __init__(self, setting: Setting, count: int, precision: Precision) -> None:
        self.data, self.count, self.network = setting.data, count, setting.network()
        self.config = CONFIG.model_copy(update={"precision": precision})

    def __call__(self) -> None:
        data = self.data
        train(
            self.network,
            data.images[: self.count],
            data.labels[: self.count],
            self.config,
            normalisation=data.normalisation,
            seed=0,
            name="benchmark",
        )


def timed(
    every: dict[str, Callable[[], object]], rounds: int, device: torch.device
) -> dict[str, float]:
    """Return the median seconds of each, alternating, after one warm-up call each."""
    taken: dict[str, list[float]] = {name: [] for name in every}
    for _ in range(1 + rounds):
        for name, run in every.items():
            wait_for(device)
            begun = time.perf_counter()
            run()
            wait_for(device)
            taken[name].append(time.perf_counter() - begun)
    return {name: median(values[1:]) for name, values in taken.items()}


def main() -> None:
    """Measure and report."""
    options = parser()
    options.add_argument("--width", type=int, default=128, help="network width (channels)")
    options.add_argument("--images", type=int, default=2048, help="images per epoch")
    options.add_argument("--rounds", type=int, default=5, help="timed epochs per variant")
    args = options.parse_args()
    device = choose_device(args.device)
    setting = setting_of(args.data, args.width, device)
    count = min(args.images, len(setting.data.labels))
    loader = loader_of(setting, count)
    every: dict[str, Callable[[], object]] = {
        "ours": Ours(setting, count, "float32"),
        "plain": PlainLoop(plain_network(args.width), loader, device, "float32"),
        "plain_same_network": PlainLoop(setting.network(), loader, device, "float32"),
        "loader": lambda: sum(len(labels) for _, labels in loader),
    }
    if multiplies_bfloat16(device):
        every["ours_bf16"] = Ours(setting, count, "bfloat16")
        every["plain_bf16"] = PlainLoop(plain_network(args.width), loader, device, "bfloat16")
    seconds = timed(every, args.rounds, device)
    figures: dict[str, Figure] = {
        "ratio": seconds["plain"] / seconds["ours"],
        "ratio_same_network": seconds["plain_same_network"] / seconds["ours"],
        **_in_bfloat16(seconds),
        **{f"images_per_second_{name}": count / taken for name, taken in seconds.items()},
        "images": count,
        "batch": BATCH,
        "width": args.width,
        "workers": WORKERS,
        "rounds": args.rounds,
        "threads": torch.get_num_threads(),
    }
    report(figures, data=setting.facts, device=args.device, seed=0, save=args.save)


def _in_bfloat16(seconds: dict[str, float]) -> dict[str, Figure]:
    if "ours_bf16" not in seconds:
        return {"bf16": "not measured: this device does not multiply bfloat16 natively"}
    ours = seconds["ours_bf16"]
    return {
        "ratio_bf16": seconds["plain"] / ours,
        "ratio_bf16_alike": seconds["plain_bf16"] / ours,
    }


if __name__ == "__main__":
    main()
