"""Distribution matching through random networks: DM (Zhao and Bilen, WACV 2023)."""

from typing import ClassVar, Literal

from pydantic import Field

from hmnpack.schema.rival import RivalConfig


class DmConfig(RivalConfig):
    """Settings of DM."""

    needs_features: ClassVar[bool] = True

    method: Literal["dm"] = Field(
        default="dm",
        description="Method: `dm`, matching of the class means of the last features of random "
        "networks, a new one at each step (DM).",
    )
    real_batch: int = Field(ge=1, description="Real images per class and step.")
