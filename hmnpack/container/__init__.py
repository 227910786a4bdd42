"""What is learned and stored: containers that decode to images."""

from hmnpack.container.base import Container, container_of, new_container
from hmnpack.container.decoding import decode, in_chunks
from hmnpack.container.hmn import HMN
from hmnpack.container.images import Images

__all__ = [
    "HMN",
    "Container",
    "Images",
    "container_of",
    "decode",
    "in_chunks",
    "new_container",
]
