"""Settings of an end before the last step."""

from pydantic import Field

from hmnpack.schema.base import Frozen


class StoppingConfig(Frozen):
    """Early stopping: quick networks judge the images on held-out ones while a stage goes on.

    The stage ends with the weights that were judged best.
    """

    probes: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Quick networks, evenly spaced over the stage, the last one at its end; "
        "0: every step is taken, and the last weights are kept.",
    )
    patience: int = Field(
        default=3, ge=1, description="Quick networks in a row, none the best, that end the stage."
    )
