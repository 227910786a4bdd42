"""Fast shape propagation through a network on torch's device ``meta``."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten

NORMS = frozenset(
    {
        _aten.native_batch_norm,
        _aten._native_batch_norm_legit,
        _aten._native_batch_norm_legit_no_training,
        _aten.native_group_norm,
        _aten.native_layer_norm,
    }
)
"""Normalisations: each returns a map of its input's shape and two tensors of statistics."""


class ShapesOnly(TorchDispatchMode):
    """Returns empty outputs of the right shape for some operations on ``meta``; all others run.

    torch implements these operations in Python and imports its compiler for them, which would take
    most of the time. The statistics of a normalisation, which no network uses, are empty.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False, as True would import torch's compiler only to disable it in this mode."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - an operator of torch
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Return the output of an operation."""
        operation = func.overloadpacket
        on_meta = bool(args) and isinstance(args[0], torch.Tensor) and args[0].is_meta
        if on_meta and operation is _aten.relu:
            return torch.empty_like(args[0])
        if on_meta and operation is _aten.addmm:
            return args[0].new_empty(len(args[1]), args[2].shape[1])
        if on_meta and operation in NORMS:
            return torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)
        return func(*args, **(kwargs or {}))
