"""Stores a training protocol in a score, as a name and overrides, and restores it."""

from typing import NamedTuple

from hmnpack.errors import BadSettings
from hmnpack.registry import PROTOCOLS
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.opaque import Opaque
from hmnpack.schema.score import Score
from hmnpack.settings import difference, merged, protocol_of, recordable


class Recorded(NamedTuple):
    """How networks were trained, as a score records it.

    Attributes:
        name: Name of the protocol.
        changes: Overrides of the protocol's settings for the bundle, nested; None: no overrides.
    """

    name: str
    changes: Opaque | None


def recorded(config: EvaluateConfig, manifest: Manifest) -> Recorded:
    """Return the protocol that the settings started from, and the overrides.

    Args:
        config: The complete settings of the evaluation.
        manifest: Manifest of the evaluated bundle.

    Raises:
        BadSettings: if the overrides are larger than a file can hold.
    """
    base = _with_own_keys(
        protocol_of(config.protocol, manifest),
        network=config.network.name,
        repeats=config.repeats,
        seed=config.seed,
        held_out=config.held_out,
    )
    return Recorded(config.protocol, recordable(difference(config, base)))


def followed(score: Score, number: int, manifest: Manifest) -> EvaluateConfig:
    """Return the settings that a recorded score was measured with.

    Args:
        score: The score.
        number: Its position among the file's scores, from 1; for the error message.
        manifest: Manifest of its file.

    Raises:
        BadSettings: if this version lacks the protocol or one of the settings.
    """
    try:
        if score.protocol not in PROTOCOLS:
            raise BadSettings(f"unknown protocol {score.protocol!r}")
        base = _with_own_keys(
            protocol_of(score.protocol, manifest),
            network=score.network,
            repeats=len(score.accuracies),
            seed=score.seed,
            held_out=score.held_out,
        )
        return merged(base, score.config or {})
    except BadSettings as error:
        reason = str(error).partition("; ")[0]
        raise BadSettings(
            f"this version of hmnpack cannot follow the protocol of score {number} ({reason})"
        ) from error


def _with_own_keys(
    base: EvaluateConfig, *, network: str, repeats: int, seed: int, held_out: bool
) -> EvaluateConfig:
    """Return a protocol with the values that a score records in separate fields."""
    changes = {"network.name": network, "repeats": repeats, "seed": seed, "held_out": held_out}
    return merged(base, changes)
