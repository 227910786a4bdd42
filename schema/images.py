"""Plain images: the container of most methods to compare with."""

from typing import Literal

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.ledger import FloatDtype


class ImagesConfig(Frozen):
    """Settings of plain images."""

    kind: Literal["images"] = Field(
        default="images", description="Kind of container: plain images, one per class and ipc."
    )
    dtype: FloatDtype = Field(
        default="F32",
        description="Type of the stored floats, to which pixels are rounded when the file is "
        "written. The budget in floats does not change.",
    )
