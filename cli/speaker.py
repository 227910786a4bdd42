"""Which process of a run speaks: under ``torchrun`` every rank runs the same command."""

import hashlib
import os
from collections.abc import Mapping
from datetime import timedelta

import click

_PATIENCE = timedelta(seconds=5)
"""How long a rank looks for torchrun's store before it says alone what it has to say."""


def is_one_of_several() -> bool:
    """Return whether this process is one of several ranks."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_main_rank() -> bool:
    """Return whether this process prints for the run: it is alone, or rank 0."""
    return not is_one_of_several() or os.environ.get("RANK", "0") == "0"


def say_once(text: str) -> None:
    """Write a line to standard error, unless another rank of the run has written the same."""
    if not is_one_of_several() or _is_first(text, os.environ):
        click.echo(text, err=True)


def _is_first(text: str, environment: Mapping[str, str]) -> bool:
    """Return whether no other rank has asked this yet; true where that cannot be known.

    The store is torchrun's own, so ranks that have lost each other, or never met, can still ask.
    """
    if environment.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return True
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # not in its __all__

    attempt = environment.get("TORCHELASTIC_RESTART_COUNT", "0")
    key = f"hmnpack/{attempt}/{hashlib.sha256(text.encode()).hexdigest()}"
    try:
        host, port = environment["MASTER_ADDR"], int(environment["MASTER_PORT"])
        store = TCPStore(host, port, is_master=False, timeout=_PATIENCE)
        return bool(store.add(key, 1) == 1)
    except (RuntimeError, ValueError, LookupError):
        return True
