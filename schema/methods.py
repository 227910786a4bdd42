"""Settings of every method to compare with, told apart by ``method``."""

from typing import Annotated

from pydantic import Field

from hmnpack.schema.cafe import CafeConfig
from hmnpack.schema.dc import DcConfig
from hmnpack.schema.dm import DmConfig
from hmnpack.schema.idc import IdcConfig
from hmnpack.schema.idm import IdmConfig
from hmnpack.schema.mtt import MttConfig
from hmnpack.schema.rival import RivalConfig

AnyRivalConfig = Annotated[
    DcConfig | DmConfig | IdcConfig | CafeConfig | IdmConfig | MttConfig,
    Field(discriminator="method"),
]
"""Settings of any such method."""

METHODS: dict[str, type[RivalConfig]] = {
    "dc": DcConfig,
    "dm": DmConfig,
    "idc": IdcConfig,
    "cafe": CafeConfig,
    "idm": IdmConfig,
    "mtt": MttConfig,
}
"""Name of a method -> its settings."""
