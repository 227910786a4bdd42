"""Learning rates by tier of a container."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from hmnpack.schema.base import Extended

Tier = Literal["dataset", "class", "instance", "decoder"]
"""Part of a container that is learned: a memory of one of three kinds, or the weights of networks
(the extractors and the decoder)."""

Factor = Annotated[float, Field(ge=0)]


class TierRates(Extended):
    """Factors on a learning rate, one for each tier; 1 leaves it as it is, 0 keeps the tier."""

    left_out_if_default: ClassVar = frozenset(
        {"dataset_rate", "class_rate", "instance_rate", "decoder_rate"}
    )

    dataset_rate: Factor = Field(
        default=1.0, description="Factor on `lr` for the data set's memory; 0 keeps it as it is."
    )
    class_rate: Factor = Field(default=1.0, description="Factor on `lr` for the class memories.")
    instance_rate: Factor = Field(
        default=1.0, description="Factor on `lr` for the instance memories, or stored pixels."
    )
    decoder_rate: Factor = Field(
        default=1.0, description="Factor on `lr` for the weights of the extractors and the decoder."
    )

    def factor(self, tier: Tier) -> float:
        """Return the factor of a tier."""
        factors: dict[Tier, float] = {
            "dataset": self.dataset_rate,
            "class": self.class_rate,
            "instance": self.instance_rate,
            "decoder": self.decoder_rate,
        }
        return factors[tier]
