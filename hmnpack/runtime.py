"""Seeds, devices, precision and progress: the only place that touches global state."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import Protocol

import torch

from hmnpack.errors import BadSettings
from hmnpack.schema.config import Precision


class Listener(Protocol):
    """Receives progress; drawing it is the caller's business."""

    def __call__(self, stage: str, done: int, total: int, **facts: float) -> None:
        """Say that ``done`` of ``total`` parts of a stage are done, with figures such as a loss."""


def silent(stage: str, done: int, total: int, **facts: float) -> None:
    """Ignore progress."""


def stream(seed: int, *names: str | int) -> torch.Generator:
    """Return a new CPU generator whose numbers depend on the seed and the names alone.

    Every use of randomness has a name, and every step a number, so that a run that is resumed at
    a step draws what an uninterrupted one draws, and adding a stream changes no other.

    Args:
        seed: The run's seed, 0 or more.
        names: What the numbers are for, such as ``"match", 17``.
    """
    text = "/".join(str(part) for part in (seed, *names))
    digest = hashlib.sha256(text.encode()).digest()
    generator = torch.Generator()
    generator.manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return generator


@contextlib.contextmanager
def seeded(generator: torch.Generator) -> Iterator[None]:
    """Make code that only knows the global generator (layer initialisation) use this one.

    The global generator is put back on leaving. CPU only: initialise there, then move.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        yield


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of that name; ``auto`` is an accelerator, else the CPU.

    Under ``torchrun`` each process of a machine takes an accelerator of its own (``LOCAL_RANK``).

    Raises:
        BadSettings: if there is no such device here.
    """
    if name == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
        return device
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise BadSettings(f"device {name!r} cannot be used ({reason}); try cpu") from error
    return device


def multiplies_bfloat16(device: torch.device) -> bool:
    """Return whether bfloat16 is native there; where it is emulated it is far slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_tile"))
    return False


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the context in which networks run at that precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=low_precision(device, precision))


def low_precision(device: torch.device, precision: Precision) -> bool:
    """Return whether networks run in bfloat16 there, at that precision."""
    return precision == "bfloat16" or (precision == "auto" and multiplies_bfloat16(device))
