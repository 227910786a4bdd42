"""A replay memory of condensed images for Avalanche (extra ``avalanche``).

Importing this module does not import Avalanche; making a memory does.
"""

import importlib
from collections.abc import Sequence
from typing import Any

from hmnpack.bundle import Bundle, read
from hmnpack.bundle.opened import AnyFile
from hmnpack.dataset import concat
from hmnpack.dataset.base import Transform
from hmnpack.errors import BadSettings, MissingExtra
from hmnpack.registry import unknown_name


class HmnBuffer:
    """A replay memory of `.hmn` files, the ``storage_policy`` of Avalanche's ``ReplayPlugin``.

    File i was made from the data of experience i. It joins the buffer when the strategy has been
    trained on that experience, so earlier experiences are replayed, and no others. An experience
    for which there is no file adds nothing.

    It counts as a subclass of Avalanche's ``ExemplarsBuffer``.

    Args:
        files: Whatever :func:`hmnpack.load` loads, one per experience, in the order of the stream.
        classes: Class names of the benchmark; the index is its label. A benchmark may number
            classes in an order of its own, so there is no default. Labels are ints, and must be in
            the benchmark, too: those of torchvision's datasets are, those of a `TensorDataset` are
            tensors.
        transform: Applied to each image when it is read: float32 [C, H, W] in [0, 1]. It must
            normalise as the benchmark's own transform does.
        task_labels: Task label of each file, for a benchmark whose experiences have them; those of
            ``nc_benchmark`` are 0 unless it was made with ``task_labels=True``. None: a benchmark
            without task labels.
        seen: Number of first experiences that were learned already; their files are in the buffer
            from the start.

    Attributes:
        max_size: Number of images in all files; the plugin's ``mem_size``.
        buffer: The images to replay, as a dataset of Avalanche's.

    Raises:
        MissingExtra: if Avalanche is not installed.
        BadBundle: if a file violates FORMAT.md, or cannot be read or fetched.
        BadSettings: if there are no files, `seen` is more than their number, there is not one task
            label for each, or the benchmark has no class of such a name.
    """

    def __init__(
        self,
        files: Sequence[AnyFile | Bundle],
        *,
        classes: Sequence[str],
        transform: Transform | None = None,
        task_labels: Sequence[int] | None = None,
        seen: int = 0,
    ) -> None:
        _avalanche("training.storage_policy").ExemplarsBuffer.register(type(self))
        self._bundles = [file if isinstance(file, Bundle) else read(file) for file in files]
        self._numbers = {name: label for label, name in enumerate(classes)}
        self._transform = transform
        self._task_labels = task_labels
        self._check(seen)
        self._seen = seen
        self._images = sum(bundle.manifest.container.images for bundle in self._bundles)
        self.max_size: int = self._images
        self.buffer: Any = self._dataset()

    @property
    def nbytes(self) -> int:
        """Size of the files in the buffer, in bytes."""
        return sum(bundle.nbytes for bundle in self._bundles[: self._seen])

    def post_adapt(self, agent_state: object, exp: Any) -> None:  # noqa: ANN401
        """Add the file of an experience that was learned; called by strategies.

        Args:
            agent_state: Not used.
            exp: The experience.

        Raises:
            BadSettings: if the experience has task labels and the memory has none, or vice versa.
        """
        labelled = hasattr(exp.dataset, "targets_task_labels")
        if labelled != (self._task_labels is not None):
            raise BadSettings(
                "the benchmark has task labels: give task_labels, one for each file"
                if labelled
                else "the benchmark has no task labels: leave task_labels out"
            )
        self._seen = max(self._seen, min(exp.current_experience + 1, len(self._bundles)))
        self.buffer = self._dataset()

    def update(self, strategy: Any, **_: object) -> None:  # noqa: ANN401
        """Add the file of the strategy's experience; called by Avalanche's plugins."""
        self.post_adapt(strategy, strategy.experience)

    def resize(self, strategy: object, new_size: int) -> None:
        """Change the maximum number of images.

        Args:
            strategy: Not used.
            new_size: At least the number of images in all files.

        Raises:
            BadSettings: if it is less.
        """
        if new_size < self._images:
            raise BadSettings(
                f"the files hold {self._images} images, more than {new_size}: make smaller ones "
                "with hmnpack prune"
            )
        self.max_size = new_size

    def _check(self, seen: int) -> None:
        count = len(self._bundles)
        if not 0 <= seen <= count or not count:
            raise BadSettings(f"{seen} experiences were seen, but there are {count} files")
        if self._task_labels is not None and len(self._task_labels) != count:
            raise BadSettings(f"{len(self._task_labels)} task labels for {count} files")
        for bundle in self._bundles:
            for name in bundle.manifest.classes:
                if name not in self._numbers:
                    raise unknown_name("class of the benchmark", name, self._numbers)

    def _dataset(self) -> Any:  # noqa: ANN401
        """Return the images to replay as a dataset of Avalanche's."""
        utils = _avalanche("benchmarks.utils")
        if not self._seen:
            return utils.AvalancheDataset([])
        images = concat(self._bundles[: self._seen], transform=self._transform)
        numbers = [self._numbers[name] for name in images.classes]
        images.target_transform = numbers.__getitem__  # workers of a data loader can pickle it
        labels = [numbers[label] for label in images.targets]
        attributes = [utils.DataAttribute(labels, "targets")]
        kinds = _avalanche("benchmarks.utils.classification_dataset")
        if self._task_labels is None:
            return kinds.ClassificationDataset([images], data_attributes=attributes)
        tasks = [self._task_labels[file] for file in images.tasks]
        labelled = utils.DataAttribute(tasks, "targets_task_labels", use_in_getitem=True)
        return kinds.TaskAwareSupervisedClassificationDataset(
            [images], data_attributes=[*attributes, labelled]
        )


def _avalanche(module: str) -> Any:  # noqa: ANN401
    """Return a module of Avalanche's.

    Raises:
        MissingExtra: if it is not installed.
    """
    try:
        return importlib.import_module(f"avalanche.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "avalanche":
            raise
        raise MissingExtra.of("a replay memory for Avalanche", "avalanche") from error
