"""The file that ``append`` appends classes to: its settings, and what its new classes must be."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hmnpack.bundle import Bundle
from hmnpack.bundle.appending import check_new_classes, made_last, with_classes
from hmnpack.errors import BadData, BadSettings
from hmnpack.schema.class_names import storable_class_names
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.kinds import CONTAINERS
from hmnpack.schema.recipes import DataShape
from hmnpack.settings import merged, recorded_settings_for
from hmnpack.sources import Source, SourceOptions


@dataclass(frozen=True)
class Grown:
    """The file that classes are appended to.

    Attributes:
        file: Its content.
        name: Its name, for messages.
    """

    file: Bundle
    name: str

    @property
    def spec(self) -> ContainerSpec:
        """Container of the file, whose settings are those of the new classes, too."""
        return self.file.manifest.container

    @property
    def ipc(self) -> int:
        """The file's budget, in images per class."""
        return self.file.manifest.nearest_ipc

    def settings_for(self, data: DataShape | None) -> CompressConfig | None:
        """Return the settings of the file's recipe, of the latest run if there was more than one.

        Args:
            data: Shape of the new data; None: of CIFAR-10.

        Returns:
            None if the file does not record a recipe.
        """
        made = made_last(self.file.manifest) or self.file.manifest
        return recorded_settings_for(made, data)

    def fitted(self, config: CompressConfig) -> CompressConfig:
        """Return settings with the file's kind of container, by which its start is chosen."""
        kind = self.spec.kind.partition("/")[0]
        return merged(config, {"container.kind": kind}) if kind in CONTAINERS else config

    def read_as(self, options: SourceOptions) -> SourceOptions:
        """Return how to read new data: resized as the file's were, unless the options say how."""
        return replace(options, size=options.size or self.file.manifest.source.size)

    def check(self, source: Source) -> None:
        """Check that the classes of a dataset can be appended.

        Raises:
            BadData: if their images have another shape than the file's, or the file has one of
                them already.
        """
        ours, theirs = (
            f"{image.channels}x{image.height}x{image.width}"
            for image in (self.spec.image, source.image)
        )
        if ours != theirs:
            raise BadData(
                f"{source.name}: images are {theirs}, but those of {self.name} are {ours}; append "
                "data of the same shape (--size resizes)"
            )
        classes = storable_class_names(source.classes)
        check_new_classes(self.name, self.file.manifest, source.name, classes)

    def with_classes(self, part: Bundle, ipc: int) -> Bundle:
        """Return the file with the classes of another bundle, made for a budget of ``ipc``."""
        return with_classes(self.file, part, ipc)


def check_container_settings(paths: Iterable[str]) -> None:
    """Check that no setting of the container is overridden: the file has them.

    Args:
        paths: Dotted paths of the settings that the caller overrides.

    Raises:
        BadSettings: if one is a setting of the container.
    """
    for path in paths:
        if path.split(".")[0] == "container":
            raise BadSettings(
                f"{path} is fixed by the file that classes are appended to; leave it out"
            )
