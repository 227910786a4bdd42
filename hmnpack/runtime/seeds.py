"""Named random streams, and the only function that seeds torch's global generators."""

import contextlib
import hashlib
from collections.abc import Iterator

import torch

_CPU = torch.device("cpu")


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
    """Seed the global generators for code that uses them, such as initialisation and dropout.

    On exit the generators of the CPU and the device are restored; other devices are untouched.

    Args:
        generator: CPU generator; one seed is drawn from it.
        device: Device on which the code draws random numbers.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    forked = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(forked), _mps_seeded(seed, device):
        torch.default_generator.manual_seed(seed)
        if forked:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


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
