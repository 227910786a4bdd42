"""Opening what holds a `.hmn` file: a path, an address, a pipe, a file object, or bytes."""

import contextlib
import os
import select
import stat
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

from hmnpack.bundle.checks import manifest_of
from hmnpack.bundle.faults import NotABundle
from hmnpack.bundle.header import LENGTH_BYTES, MAX_HEADER, read_header
from hmnpack.bundle.hub import fetched
from hmnpack.runtime.paths import STDIN, AnyPath, is_hub_file, path_of

AnyFile = AnyPath | bytearray | memoryview | BinaryIO
"""A path or ``hf://owner/name/file.hmn``, a binary file object, which is read from its position, or
the content of a file.

Bytes are the content if they contain a zero byte, as every `.hmn` file and no path does.
"""

PIPE_SECONDS = 10.0
"""How long to wait for the first byte from a named pipe."""

_CHUNK = 2**20


def path_in(given: AnyFile) -> Path | None:
    """Return the path that was given, or None if it was something else.

    Raises:
        BadSettings: if there is no such home folder.
    """
    if isinstance(given, bytearray | memoryview) or hasattr(given, "read"):
        return None
    if is_hub_file(given) or (isinstance(given, bytes) and b"\0" in given):
        return None
    return path_of(given)


def name_of_file(given: AnyFile) -> str:
    """Return what to call a file in messages."""
    if isinstance(given, bytes | bytearray | memoryview) and path_in(given) is None:
        return f"{len(given):,} bytes"
    if hasattr(given, "read"):
        name = getattr(given, "name", None)
        return name if isinstance(name, str) else "the file object"
    return os.fsdecode(cast(AnyPath, given))


@contextlib.contextmanager
def opened(given: AnyFile) -> Iterator[tuple[BinaryIO, int]]:
    """Yield a file at its start, and its size in bytes.

    What is no regular file is first read into memory, one byte beyond what its header states at
    most, so that an endless pipe ends.

    Raises:
        BadBundle: if it is a folder or cannot be fetched, or if the header of a pipe or file object
            is invalid.
        MissingExtra: if it is on the hub and `huggingface_hub` is not installed.
    """
    path = fetched(cast(str, given)) if is_hub_file(given) else path_in(given)
    if path is None:
        is_stream = hasattr(given, "read")
        held = _held(cast(BinaryIO, given)) if is_stream else BytesIO(cast(bytes, given))
        yield held, held.getbuffer().nbytes
        return
    try:
        mode = path.stat().st_mode
    except ValueError as error:  # a null byte, or half of a surrogate pair
        raise NotABundle(f"cannot be a file name ({error})") from error
    if stat.S_ISDIR(mode):
        raise NotABundle("is not a file")
    with _opened_path(path, mode) as file:
        if stat.S_ISREG(mode):
            yield file, os.fstat(file.fileno()).st_size
        else:
            held = _held(file)
            yield held, held.getbuffer().nbytes


def _opened_path(path: Path, mode: int) -> BinaryIO:
    if path == STDIN:
        return os.fdopen(0, "rb", closefd=False)
    return _opened_pipe(path) if stat.S_ISFIFO(mode) else path.open("rb")


def _opened_pipe(path: Path) -> BinaryIO:
    """Open a named pipe; opening it as a file would wait for its writer, perhaps for ever."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)
    ready = select.poll()
    ready.register(file, select.POLLIN)
    if not ready.poll(1000 * PIPE_SECONDS):
        file.close()
        raise NotABundle(
            f"is a pipe that nothing wrote to for {PIPE_SECONDS:g} seconds; standard input waits "
            "for longer"
        )
    os.set_blocking(file.fileno(), True)
    return cast(BinaryIO, file)


def _held(stream: BinaryIO) -> BytesIO:
    """Return the bytes of a stream, as many as its header states and at most one more."""
    start = _read(stream, LENGTH_BYTES)
    start += _read(stream, min(int.from_bytes(start, "little"), MAX_HEADER))
    header = read_header(BytesIO(start), None)
    manifest_of(header)  # its limits bound the size that the header states
    return BytesIO(start + _read(stream, header.size + 1))


def _read(stream: BinaryIO, count: int) -> bytes:
    """Return the next bytes of a stream, fewer only at its end."""
    data = bytearray()
    while len(data) < count and (chunk := stream.read(min(count - len(data), _CHUNK))):
        if not isinstance(chunk, bytes):
            raise NotABundle("was opened as text; open it with mode 'rb'")
        data += chunk
    return bytes(data)
