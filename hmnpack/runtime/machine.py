"""Facts about this machine and this code, to record with measurements."""

import os
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import torch

from hmnpack.schema.result import Machine
from hmnpack.version import __version__

PACKAGES = ("torch", "torchvision", "safetensors", "numpy", "pillow", "pydantic")


def machine_facts(device: torch.device | str = "cpu") -> Machine:
    """Return the hardware and the library versions.

    Args:
        device: The device that was measured.
    """
    device = torch.device(device)
    accelerated = device.type == "cuda"
    return Machine(
        processor=processor_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _all_cores(),
        memory_gib=round(physical_memory() / 2**30, 1),
        device=torch.cuda.get_device_name(device) if accelerated else device.type,
        versions=versions(),
    )


def physical_memory() -> int:
    """Return the memory of this machine in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def peak_memory(device: torch.device) -> int:
    """Return the peak memory so far, in bytes: the accelerator's, or on a CPU this process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    text = status.read_text() if status.is_file() else ""
    found = re.findall(r"^VmHWM:\s*(\d+) kB$", text, re.MULTILINE)
    if found:  # ru_maxrss would start from the parent's memory at the time of the fork
        return int(found[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def processor_model() -> str:
    """Return the processor's model name, else its architecture."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(errors="replace").splitlines() if facts.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models and models[0] else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of Python, hmnpack and the libraries that affect speed and results."""
    found = {"python": platform.python_version(), "hmnpack": __version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Return the commit of the source tree, with ``-dirty`` if it has changes; else the version.

    Only the repository that contains this file counts, not one whose virtual environment
    hmnpack is installed in.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return f"v{__version__}"
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return f"v{__version__}"
    return answer.stdout.strip()


def without_folders(words: Iterable[str]) -> list[str]:
    """Return the words of a command line without the folders of this machine.

    An absolute path is replaced by its last part, also after ``--name=``.
    """

    def shown(word: str) -> str:
        name, sign, value = word.partition("=") if word.startswith("--") else ("", "", word)
        return f"{name}{sign}{Path(value).name if Path(value).is_absolute() else value}"

    return [shown(word) for word in words]


def _all_cores() -> int:
    return os.cpu_count() or 1
