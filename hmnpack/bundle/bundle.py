"""A bundle in memory, and the bytes of its file."""

import hashlib
from dataclasses import dataclass
from io import BytesIO
from os import PathLike
from typing import TYPE_CHECKING

from hmnpack.bundle.checks import manifest_of, manifest_text
from hmnpack.bundle.faults import Corrupted, NotFinite
from hmnpack.bundle.header import KEY, read_header
from hmnpack.runtime.output import write_atomically
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.manifest import Manifest

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Bundle:
    """A manifest and the tensors that it describes.

    Args:
        manifest: Everything that the bundle says about itself.
        tensors: Stored numbers by the ledger's names: of its types, on the CPU.
    """

    manifest: Manifest
    tensors: "dict[str, Tensor]"

    def to_bytes(self) -> bytes:
        """Return the bytes of the file: the same for the same manifest and tensors.

        They are checked as a reader checks them, so that what is written can be read.

        Raises:
            BadBundle: if the manifest and the tensors do not belong together, or break a rule.
        """
        from safetensors.torch import save  # noqa: PLC0415 - brings torch

        check_finite(self.tensors)
        # Clones, because safetensors refuses tensors that share memory. It writes wider types
        # before narrower ones, then by name: as all memories' names come last, that is by name.
        whole = {name: tensor.contiguous().clone() for name, tensor in self.tensors.items()}
        data: bytes = save(whole, metadata={KEY: manifest_text(self.manifest)})
        header = read_header(BytesIO(data), len(data))
        manifest = manifest_of(header)
        if hashlib.sha256(memoryview(data)[header.start :]).hexdigest() != manifest.data_sha256:
            raise Corrupted("the tensors do not match the manifest's data_sha256")
        return data

    def save(self, path: str | PathLike[str], force: bool = False) -> None:
        """Write the file, as a whole or not at all.

        Args:
            path: Where.
            force: Replace an existing file.

        Raises:
            OutputExists: if the path is a symbolic link, a folder, or exists without ``force``.
            BadSettings: if nothing can be written there.
        """
        write_atomically(path, self.to_bytes(), force)


def with_tensors(
    bundle: Bundle, spec: ContainerSpec, tensors: "dict[str, Tensor]", **changes: object
) -> Bundle:
    """Return a bundle of other tensors, without the scores, which are of other images.

    Args:
        bundle: What is not named stays.
        spec: The container that the tensors are of.
        tensors: Stored numbers by the ledger's names: of its types, on the CPU.
        changes: Other fields of the manifest.

    Raises:
        ValidationError: if what changes does not go with what stays.
    """
    parts = {name: getattr(bundle.manifest, name) for name in Manifest.model_fields} | {
        "container": spec,
        "ledger": spec.ledger(),
        "scores": (),
        "data_sha256": data_sha256(tensors),
    }
    return Bundle(Manifest.model_validate(parts | changes), tensors)


def data_sha256(tensors: "dict[str, Tensor]") -> str:
    """Return the sha256 of the tensors' bytes as they lie in a file: in the order of the names.

    Args:
        tensors: Stored numbers by the ledger's names: of its types, on the CPU.
    """
    digest = hashlib.sha256()
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.detach().contiguous().numpy().data)
    return digest.hexdigest()


def check_finite(tensors: "dict[str, Tensor]") -> None:
    """Check every number.

    Raises:
        NotFinite: naming the first tensor that holds an infinity or no number.
    """
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise NotFinite(f"tensor {name!r} holds an infinity or something that is no number")
