"""Which process of a run prints: under ``torchrun`` every rank runs the same command."""

import hashlib
import os
from collections.abc import Mapping
from datetime import timedelta

import click

from hmnpack.runtime.notes import is_one_of_several

_STORE_TIMEOUT = timedelta(seconds=5)
"""How long a rank tries to reach torchrun's store before it prints by itself."""


def echo_once(text: str) -> None:
    """Print a line on standard error, unless another rank has already printed the same."""
    if not is_one_of_several() or _is_first(text, os.environ):
        click.echo(text, err=True)


def _is_first(text: str, environment: Mapping[str, str]) -> bool:
    """Return whether this rank is the first with this text; true if the store is unreachable.

    The store belongs to torchrun, so it also works for ranks that are not, or no longer, connected.
    """
    if environment.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return True
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # not in its __all__

    attempt = environment.get("TORCHELASTIC_RESTART_COUNT", "0")
    key = f"hmnpack/{attempt}/{hashlib.sha256(text.encode()).hexdigest()}"
    try:
        host, port = environment["MASTER_ADDR"], int(environment["MASTER_PORT"])
        store = TCPStore(host, port, is_master=False, timeout=_STORE_TIMEOUT)
        return bool(store.add(key, 1) == 1)
    except (RuntimeError, ValueError, LookupError):
        return True
