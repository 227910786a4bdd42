"""A bundle in memory and its serialisation."""

import hashlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Self

from hmnpack.bundle.checks import manifest_of, manifest_text
from hmnpack.bundle.faults import Corrupted, NotFinite
from hmnpack.bundle.header import KEY, read_header
from hmnpack.runtime.output import write_atomically
from hmnpack.runtime.paths import AnyPath
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.manifest import Manifest

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Bundle:
    """A manifest and the tensors that it describes.

    Args:
        manifest: All metadata of the bundle.
        tensors: Name in the ledger -> stored tensor of the ledger's type, on the CPU.
    """

    manifest: Manifest
    tensors: "dict[str, Tensor]"

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> Self:
        """Return the bundle that the bytes of a file hold, after checking every rule.

        Args:
            data: Content of a `.hmn` file, such as :meth:`to_bytes` returns.

        Raises:
            BadBundle: if the bytes violate FORMAT.md.
        """
        from hmnpack.bundle.read import read  # noqa: PLC0415 - imports this module

        read_one = read(memoryview(data))
        return cls(read_one.manifest, read_one.tensors)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole file, header included, which :meth:`to_bytes` returns."""
        return len(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the bytes of the file, which are identical for equal manifests and tensors.

        The bytes are validated as by a reader, so every written file can be read.

        Raises:
            BadBundle: if the manifest and the tensors do not match, or violate a rule.
        """
        from safetensors.torch import save  # noqa: PLC0415 - brings torch

        check_finite(self.tensors)
        # Cloned, because safetensors rejects tensors that share memory. It sorts wider types
        # first, then by name. Memories, the only 8-bit tensors, come last by name anyway, so the
        # order is that of the names.
        copies = {name: tensor.contiguous().clone() for name, tensor in self.tensors.items()}
        data: bytes = save(copies, metadata={KEY: manifest_text(self.manifest)})
        header = read_header(BytesIO(data), len(data))
        manifest = manifest_of(header)
        if hashlib.sha256(memoryview(data)[header.start :]).hexdigest() != manifest.data_sha256:
            raise Corrupted("the tensors do not match the manifest's data_sha256")
        return data

    def save(self, path: AnyPath, force: bool = False) -> None:
        """Write the file atomically.

        Args:
            path: Path of the file.
            force: Replace an existing file.

        Raises:
            OutputExists: if the path is a symbolic link or a folder, or exists without ``force``.
            BadSettings: if the path is not writable.
        """
        write_atomically(path, self.to_bytes(), force)


def with_tensors(
    bundle: Bundle, spec: ContainerSpec, tensors: "dict[str, Tensor]", **changes: object
) -> Bundle:
    """Return a copy of a bundle with other tensors and without scores, which no longer apply.

    Args:
        bundle: Bundle that all other fields of the manifest are copied from.
        spec: Container of the new tensors.
        tensors: Name in the ledger -> stored tensor of the ledger's type, on the CPU.
        changes: Further fields of the manifest to replace.

    Raises:
        ValidationError: if the new fields are inconsistent with the copied ones.
    """
    parts = {
        "container": spec,
        "ledger": spec.ledger(),
        "scores": (),
        "data_sha256": data_sha256(tensors),
    }
    return Bundle(changed(bundle.manifest, **parts | changes), tensors)


def changed(manifest: Manifest, **changes: object) -> Manifest:
    """Return a copy of a manifest with other fields, validated as a whole.

    Args:
        manifest: Manifest that all other fields are copied from.
        changes: Fields to replace.

    Raises:
        ValidationError: if the new fields are inconsistent with the copied ones.
    """
    fields = {name: getattr(manifest, name) for name in Manifest.model_fields}
    return Manifest.model_validate(fields | changes)


def data_sha256(tensors: "dict[str, Tensor]") -> str:
    """Return the sha256 of the tensors' bytes in file order, which is the order of the names.

    Args:
        tensors: Name in the ledger -> stored tensor of the ledger's type, on the CPU.
    """
    digest = hashlib.sha256()
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.detach().contiguous().numpy().data)
    return digest.hexdigest()


def check_finite(tensors: "dict[str, Tensor]") -> None:
    """Check that all values are finite.

    Raises:
        NotFinite: naming the first tensor that contains an infinity or NaN.
    """
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise NotFinite(f"tensor {name!r} contains an infinity or NaN")
