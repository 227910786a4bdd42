"""Random numbers: named streams, and the one place that sets torch's global seeds."""

import contextlib
import hashlib
from collections.abc import Iterator

import torch

_CPU = torch.device("cpu")


def stream(seed: int, *names: str | int) -> torch.Generator:
    """Return a new CPU generator whose numbers depend on the seed and the names alone.

    Every use of randomness has a name, and every step a number, so that a run that is resumed at
    a step draws what an uninterrupted one draws, and adding a stream changes no other.

    Args:
        seed: The run's seed, 0 or more.
        names: What the numbers are for, such as ``"match", 17``.

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
    """Make code that only knows global generators (layer initialisation, dropout) use this one.

    The CPU's generator and the device's are put back on leaving; those of others are not touched.

    Args:
        generator: CPU generator; one number is drawn from it.
        device: Where the code draws.
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
    """Seed the generator of Apple's devices, if it is one, and put it back."""
    if device.type != "mps":
        yield
        return
    before = torch.mps.get_rng_state()
    torch.mps.manual_seed(seed)
    try:
        yield
    finally:
        torch.mps.set_rng_state(before)
