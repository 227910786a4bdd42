"""Named random streams, and the only function that seeds code without a generator argument.

Torch's global generators belong to all threads of the process, so they are avoided where possible.
"""

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_CPU = torch.device("cpu")

_seeding = threading.RLock()
"""Held while the global generators are seeded; may be taken again by the thread that holds it."""


def _renew_lock() -> None:
    """Give a forked process a free lock: the thread that held it exists only in the parent."""
    global _seeding  # noqa: PLW0603
    _seeding = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def stream(seed: int, *names: str | int) -> torch.Generator:
    """Return a new CPU generator that depends only on the seed and the names.

    Every use of randomness has a name and every step an index. A resumed run therefore draws the
    same numbers as an uninterrupted one, and adding a stream changes no other.

    Args:
        seed: Seed of the run, 0 or more.
        names: Purpose of the stream, such as ``"match", 17``.

    Example:
        >>> first, again, other = (stream(0, "match", step) for step in (1, 1, 2))
        >>> first.initial_seed() == again.initial_seed() != other.initial_seed()
        True
    """
    text = "/".join(str(part) for part in (seed, *names))
    digest = hashlib.sha256(text.encode()).digest()
    generator = torch.Generator()
    generator.manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return generator


@contextlib.contextmanager
def seeded_rng(generator: torch.Generator, device: torch.device = _CPU) -> Iterator[None]:
    """Seed the random numbers of code that takes no generator: initialisation and dropout.

    On the CPU the thread draws from a generator of its own, and the global one is neither read nor
    changed. Every operation then passes through Python, so leave out code that draws nothing. On
    accelerators the global generators of the CPU and the device are seeded, and restored on exit.

    Args:
        generator: CPU generator; one seed is drawn from it.
        device: Device on which the code draws random numbers.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    own = torch.Generator()
    own.manual_seed(seed)
    with _Drawing(own) if device.type == "cpu" else _globally_seeded(seed, device):
        yield


@contextlib.contextmanager
def _globally_seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators while other threads wait for their own such blocks."""
    forked = [device] if device.type == "cuda" else []
    with _seeding, torch.random.fork_rng(forked), _mps_seeded(seed, device):
        torch.default_generator.manual_seed(seed)
        if forked:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


class _Drawing(TorchDispatchMode):
    """Passes a generator to every operation that draws and was given none."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.generator = generator

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - as in torch
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        given = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags or given.get("generator"):
            return func(*args, **given)
        accepting = _with_generator(func)
        if accepting is not None:
            return accepting(*args, **given, generator=self.generator)
        seed = int(torch.randint(2**62, (), generator=self.generator))
        with _globally_seeded(seed, _CPU):
            return func(*args, **given)


def _with_generator(func: Any) -> Any:  # noqa: ANN401
    """Return the overload of an operation that accepts a generator; None if there is none."""
    packet, name = func.overloadpacket, func._overloadname
    others = (f"{name}_generator", "generator" if name == "default" else "")
    for overload in (func, *(getattr(packet, other, None) for other in others if other)):
        arguments = () if overload is None else overload._schema.arguments
        if any(argument.name == "generator" for argument in arguments):
            return overload
    return None


@contextlib.contextmanager
def _mps_seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the MPS generator if the device is Apple's, and restore it on exit."""
    if device.type != "mps":
        yield
        return
    before = torch.mps.get_rng_state()
    torch.mps.manual_seed(seed)
    try:
        yield
    finally:
        torch.mps.set_rng_state(before)
