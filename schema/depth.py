"""Networks that are only as deep as the images allow."""

from typing import TypeVar

from pydantic import BaseModel

from hmnpack.schema.stored import ImageShape
from hmnpack.schema.training import NetworkConfig, deepest

Model = TypeVar("Model", bound=BaseModel)


def shallow_enough(model: Model, image: ImageShape) -> Model:
    """Return settings with every network's depth reduced to what such images allow, at least 1."""
    changes: dict[str, object] = {}
    for name, value in model:
        if isinstance(value, NetworkConfig):
            depth = max(1, min(value.depth, deepest(image, value.patch)))
            changes[name] = value.model_copy(update={"depth": depth})
        elif isinstance(value, BaseModel):
            changes[name] = shallow_enough(value, image)
    return model.model_copy(update=changes)
