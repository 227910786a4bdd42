"""Settings of every method to compare with, told apart by ``method``."""

from typing import Annotated

from pydantic import Field

from hmnpack.schema.dc import DcConfig
from hmnpack.schema.dm import DmConfig
from hmnpack.schema.idc import IdcConfig
from hmnpack.schema.rival import RivalConfig

AnyRivalConfig = Annotated[DcConfig | DmConfig | IdcConfig, Field(discriminator="method")]
"""Settings of any such method."""

METHODS: dict[str, type[RivalConfig]] = {"dc": DcConfig, "dm": DmConfig, "idc": IdcConfig}
"""Name of a method -> its settings."""
