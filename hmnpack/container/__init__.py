"""Containers: the learned and stored parameters, which decode to images."""

from hmnpack.container.appending import appended_container, appended_spec
from hmnpack.container.base import Container, container_of, new_container
from hmnpack.container.decoding import decode, decoded_parts
from hmnpack.container.hallucinator import Hallucinator
from hmnpack.container.hmn import HMN
from hmnpack.container.images import Images
from hmnpack.container.linear_basis import LinearBasis
from hmnpack.container.multi_formation import MultiFormation
from hmnpack.container.planning import planned
from hmnpack.container.rows import class_of, first_of_each

__all__ = [
    "HMN",
    "Container",
    "Hallucinator",
    "Images",
    "LinearBasis",
    "MultiFormation",
    "appended_container",
    "appended_spec",
    "class_of",
    "container_of",
    "decode",
    "decoded_parts",
    "first_of_each",
    "new_container",
    "planned",
]
