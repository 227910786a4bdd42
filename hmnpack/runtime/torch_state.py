"""Torch's global state: the one list of what the calling program may have set.

Results must not depend on it, so public functions run with torch's defaults and restore the
program's state when they end. Some of the state belongs to a thread, some to the whole process.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")
Value = TypeVar("Value")

_AUTOCAST_DEVICES = ("cpu", "cuda", "mps", "xpu")

_lock = threading.Lock()

if hasattr(os, "register_at_fork"):  # no process inherits a lock that a thread of its parent holds
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


@dataclass
class _ProcessWide(Generic[Value]):
    """A setting of the whole process, which several threads may hold at its default at once.

    Only the last thread to leave restores the program's value.

    Attributes:
        read: Returns the present value.
        write: Sets a value.
        default: Returns the value to hold, given the program's own.
    """

    read: Callable[[], Value]
    write: Callable[[Value], object]
    default: Callable[[Value], Value]
    _of_program: list[Value] = field(default_factory=list)
    _holders: int = 0

    def hold(self) -> None:
        """Set the default; remember the program's value, also if it was set during a call."""
        with _lock:
            self._holders += 1
            value = self.read()
            if value != self.default(value):
                self._of_program[:] = [value]
                self.write(self.default(value))

    def release(self) -> None:
        """Restore the program's value, unless other threads still need the default."""
        with _lock:
            self._holders -= 1
            if self._holders == 0 and self._of_program:
                value = self._of_program.pop()
                if self.read() == self.default(value):  # else the program set another meanwhile
                    self.write(value)


_DTYPE = _ProcessWide(torch.get_default_dtype, torch.set_default_dtype, lambda _: torch.float32)

_DETERMINISTIC = _ProcessWide(
    torch.get_deterministic_debug_mode,
    torch.set_deterministic_debug_mode,
    # Deterministic algorithms stay, but where torch has none it warns (1) and does not raise (2).
    lambda mode: min(mode, 1),
)


def _precision_of_convolutions() -> "_ProcessWide[Any]":
    """Return the setting of TF32 in convolutions, whose default is binary32.

    The flag of this operator alone can be read however the program set its flags. Before torch 2.9
    there is only the older one, which later versions refuse to read once the flags differ.
    """
    cudnn: Any = torch.backends.cudnn
    own_flag = hasattr(cudnn, "conv")
    owner, name = (cudnn.conv, "fp32_precision") if own_flag else (cudnn, "allow_tf32")
    exact = "ieee" if own_flag else False
    return _ProcessWide(
        lambda: getattr(owner, name), lambda value: setattr(owner, name, value), lambda _: exact
    )


_CONVOLUTIONS = _precision_of_convolutions()


@contextlib.contextmanager
def exact_convolutions(device: torch.device) -> Iterator[None]:
    """Compute convolutions on a GPU in binary32; the default, TF32, has 10 bits after the point."""
    if device.type != "cuda":
        yield
        return
    _CONVOLUTIONS.hold()
    try:
        yield
    finally:
        _CONVOLUTIONS.release()


@contextlib.contextmanager
def torch_defaults() -> Iterator[None]:
    """Run the block with torch's defaults, whatever the calling program has set.

    They are: default device CPU (random numbers are drawn from CPU generators), default dtype
    float32, gradients enabled, no inference mode, no autocast, and no errors from deterministic
    mode. The block must not yield to the caller in between, as a generator would.
    """
    with contextlib.ExitStack() as stack:
        for setting in (_DTYPE, _DETERMINISTIC):
            setting.hold()
            stack.callback(setting.release)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        for device in _AUTOCAST_DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


def with_torch_defaults(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function in :func:`torch_defaults`."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch_defaults():
            return function(*args, **kwargs)

    return called
