"""A simulated accelerator: its tensors report another device and hold their values on the CPU.

Machines that run the tests rarely have a GPU. On this device code paths for GPUs compute real
values. Operations that fail on a GPU fail here too: tensors of two devices in one operation, a CPU
generator for random numbers on the device. Synchronisations are counted. GPU kernels, memory and
streams are not simulated.

``install()`` registers the device with torch as ``simulated`` for the rest of the process. Call it
before the first backward pass.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

NAME = "simulated"
WAITS: Counter[str] = Counter()
"""Number of synchronisations with the device, by reason."""

_ATEN = torch.ops.aten
_COPIES = {_ATEN.copy_.default, _ATEN._to_copy.default}
_INDEXING = {
    _ATEN.index.Tensor,
    _ATEN.index_put.default,
    _ATEN.index_put_.default,
    _ATEN._index_put_impl_.default,
}
"""Operations that accept indices on the CPU."""

_MASKS = (torch.bool, torch.uint8)
_LOWERED = ("conv2d", "linear", "matmul", "mm", "bmm", "addmm", "baddbmm")
"""Operations that autocast runs in low precision."""

_MADE_WITHOUT_MODES = {
    "empty_strided": _ATEN.empty_strided.default,
    "empty.memory_format": _ATEN.empty.memory_format,
    "copy_": _ATEN.copy_.default,
    "_to_copy": _ATEN._to_copy.default,
}
"""Operations that ``torch.tensor(values, device=...)`` calls outside any dispatch mode."""

_libraries: list[torch.library.Library] = []


class OnDevice(Tensor):
    """A tensor on the device; ``held`` has its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnDevice":
        made = Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=torch.device(NAME, 0),
        )
        made.held = held
        return made

    def __reduce_ex__(self, protocol):
        """Pickle as a CPU tensor; :func:`_load` moves it back to the device."""
        return self.held.__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is Tensor.tolist:  # torch does not support it for tensor subclasses
            WAITS["read"] += 1
            return args[0].held.tolist()
        with torch._C.DisableTorchFunctionSubclass():
            found = func(*args, **(kwargs or {}))
        if getattr(func, "__self__", None) is Tensor.data and func.__name__ == "__set__":
            args[0].held = args[1].held
        return found


class _Everywhere(TorchDispatchMode):
    """Intercepts operations that create tensors on the device from no such tensor."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


@contextmanager
def in_reach() -> Iterator[torch.device]:
    """Enable creating tensors on the device; yields the device."""
    with _Everywhere():
        yield torch.device(NAME, 0)


def install() -> None:
    """Register the device with torch, which must support devices in Python (2.9 or later)."""
    from torch.utils import backend_registration as registration

    class Module(registration._DummyBackendModule):
        def get_amp_supported_dtype(self):
            return [torch.bfloat16]

    registration._setup_privateuseone_for_python_backend(NAME, Module())
    every, aten = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    every.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    for name in _LOWERED:
        aten.impl(name, _lowered(getattr(_ATEN, name)), "AutocastPrivateUse1")
    for name, operation in _MADE_WITHOUT_MODES.items():
        aten.impl(name, _past_modes(operation), "PrivateUse1")
    _libraries.extend((every, aten))
    torch.load = _load


def _load(*args, map_location=None, _load=torch.load, **kwargs):
    """Load as torch does, to the CPU first, because torch cannot allocate on this device."""
    if map_location is None or torch.device(map_location).type != NAME:
        return _load(*args, map_location=map_location, **kwargs)
    found = _load(*args, map_location="cpu", **kwargs)
    with _Everywhere():
        return tree_map(lambda x: x.to(map_location) if isinstance(x, Tensor) else x, found)


def _lowered(operation):
    key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def cast(value):
        full = isinstance(value, Tensor) and value.dtype == torch.float32
        return value.to(torch.get_autocast_dtype(NAME)) if full else value

    def run(*args, **kwargs):
        with torch._C._ExcludeDispatchKeyGuard(key):
            return operation(*tree_map(cast, args), **kwargs)

    return run


def _past_modes(operation):
    return lambda *args, **kwargs: _run(operation, args, kwargs)


def _run(func, args, kwargs):
    """Run one torch operation as the device would."""
    leaves = tree_leaves((args, kwargs))
    there = any(isinstance(leaf, OnDevice) for leaf in leaves)
    target = None if kwargs.get("device") is None else torch.device(kwargs["device"]).type
    if not there and target != NAME:
        return func(*args, **kwargs)
    _check_devices(func, args, leaves)
    why = _wait(func, args, target)
    if why:
        WAITS[why] += 1
    args_held, kwargs_held = tree_map(_held, args), tree_map(_held, kwargs)
    if target is not None:
        kwargs_held["device"] = torch.device("cpu")
    found = func(*args_held, **kwargs_held)
    if target == "cpu":
        return found
    if func is _ATEN.copy_.default and not isinstance(args[0], OnDevice):
        return args[0]
    return return_and_correct_aliasing(func, args, kwargs, tree_map(_to_simulated, found))


def _held(value):
    return value.held if isinstance(value, OnDevice) else value


def _to_simulated(value):
    return OnDevice(value) if isinstance(value, Tensor) else value


def _check_devices(func, args, leaves) -> None:
    """Raise if devices are mixed, as a GPU would; CPU scalars are accepted where a GPU does."""
    if any(isinstance(leaf, torch.Generator) for leaf in leaves):
        raise RuntimeError(f"{func}: a CPU generator for random numbers on the {NAME} device")
    if func in _COPIES:
        return
    single = torch.Tag.pointwise in func.tags
    if func in _INDEXING:
        if not isinstance(args[0], OnDevice):
            raise RuntimeError(f"{func}: indices on the {NAME} device into a CPU tensor")
        leaves, single = tree_leaves((args[0], args[2:])), True
    for leaf in leaves:
        of_cpu = isinstance(leaf, Tensor) and not isinstance(leaf, OnDevice)
        if of_cpu and (leaf.dim() or not single):
            shape = tuple(leaf.shape)
            raise RuntimeError(f"{func}: a CPU tensor {shape} among tensors on the {NAME} device")


def _wait(func, args, target) -> str | None:
    """Return why this operation synchronises with the device, or None if it does not."""
    if func is _ATEN._local_scalar_dense.default:
        return "read"
    if func in (_ATEN.nonzero.default, _ATEN.masked_select.default):
        return "size"
    if func in _INDEXING and any(index is not None and index.dtype in _MASKS for index in args[1]):
        return "size"
    if func is _ATEN._to_copy.default:
        return "copy" if target == "cpu" else None
    back = func is _ATEN.copy_.default and not isinstance(args[0], OnDevice)
    return "copy" if back else None
