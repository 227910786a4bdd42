"""Input datasets: every supported kind becomes uint8 tensors, labels and a fingerprint."""

from hmnpack.sources.open import as_recorded, open_source
from hmnpack.sources.seen import (
    as_seen,
    chosen_by_held_out,
    other_size,
    seen_and_held_out,
    seen_and_held_out_by,
)
from hmnpack.sources.split import choose_per_class, hold_out, normalisation_of
from hmnpack.sources.tensors import tensor_source
from hmnpack.sources.types import Source, SourceOptions, Split

__all__ = [
    "Source",
    "SourceOptions",
    "Split",
    "as_recorded",
    "as_seen",
    "choose_per_class",
    "chosen_by_held_out",
    "hold_out",
    "normalisation_of",
    "open_source",
    "other_size",
    "seen_and_held_out",
    "seen_and_held_out_by",
    "tensor_source",
]
