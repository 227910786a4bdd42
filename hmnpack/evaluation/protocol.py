"""A protocol as a score records it, by name and by what differs; and followed again."""

from typing import NamedTuple

from hmnpack.errors import BadSettings
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.opaque import Opaque
from hmnpack.schema.protocols import PROTOCOLS, protocol_of
from hmnpack.schema.score import Score
from hmnpack.settings import difference, merged, recordable


class Recorded(NamedTuple):
    """How networks were trained, as a score says it.

    Attributes:
        name: Of a protocol.
        changes: What differs from its settings for the bundle, nested; None: nothing.
    """

    name: str
    changes: Opaque | None


def recorded(config: EvaluateConfig, manifest: Manifest) -> Recorded:
    """Return the protocol that settings started from, and what differs from it.

    Args:
        config: The settings, as they are followed.
        manifest: Of the bundle that is judged.

    Raises:
        BadSettings: if the difference is more than a file holds.
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
    """Return the settings that a recorded score was made by.

    Args:
        score: The score.
        number: Its place among the file's, from 1, for the message.
        manifest: Of its file.

    Raises:
        BadSettings: if this version has no such protocol or settings.
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
    """Return a protocol with what a score says by keys of its own."""
    changes = {"network.name": network, "repeats": repeats, "seed": seed, "held_out": held_out}
    return merged(base, changes)
