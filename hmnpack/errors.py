"""Exceptions for invalid input, one class per cause, each with an exit code.

Exit codes: 0 success; 1 bug in hmnpack; 2 invalid usage or settings; 3 invalid data; 4 invalid
bundle; 5 paused, or another rank was lost (run again; `compress` and `append` with `--resume`); 6 a
recorded score was not reproduced; 7 an optional package is missing; 8 the Hugging Face Hub did not
accept a push; 130 interrupted with nothing to resume.
"""


def one_line(text: str) -> str:
    """Return the text on one line, with control characters escaped."""
    flat = " ".join(line.strip() for line in text.splitlines() if line.strip())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in flat)


class HmnError(Exception):
    """An error that the caller can fix.

    The message is one line: what is wrong, which value, and what to do instead.
    """

    exit_code = 2

    def __str__(self) -> str:
        """Return the message on one line, whatever names of files it contains."""
        return one_line(super().__str__())


class BadSettings(HmnError):
    """An invalid setting, an invalid combination of settings, or an unknown name."""


class BadValue(BadSettings):
    """A setting's value that is not allowed.

    Args:
        path: Dotted path of the setting: `train.epochs`.
        value: The value, or the part of it that is not allowed.
        reason: What is wrong.
    """

    def __init__(self, path: str, value: object, reason: str) -> None:
        self.path = path
        self.value = value
        self.reason = reason
        super().__init__(f"setting {path} = {value!r}: {reason}")

    def __reduce__(self) -> tuple[type["BadValue"], tuple[str, object, str]]:
        """Return what pickles it, for other processes."""
        return type(self), (self.path, self.value, self.reason)


class BudgetTooSmall(HmnError):
    """The budget is too small for the content; the message names a sufficient ipc."""


class OutputExists(HmnError):
    """The output exists already, or is something that must not be overwritten."""


class BadData(HmnError):
    """A dataset that violates a rule."""

    exit_code = 3


class BadImage(BadData):
    """An image that cannot be decoded; the message names it."""


class BadBundle(HmnError):
    """A file that is not a valid bundle: incomplete, damaged or inconsistent."""

    exit_code = 4


class Paused(HmnError):
    """The run stopped early and left a checkpoint."""

    exit_code = 5


class Diverged(HmnError):
    """A loss or a weight became infinite or NaN; the message names the step."""


class RankLost(HmnError):
    """Another process of the run ended; the last checkpoint is intact."""

    exit_code = 5


class ScoreFails(HmnError):
    """Retraining by a score's protocol did not reproduce the score."""

    exit_code = 6


class MissingExtra(HmnError):
    """An optional package is missing; the message names the command that installs it."""

    exit_code = 7

    @classmethod
    def of(cls, need: str, extra: str) -> "MissingExtra":
        """Return the error for a feature that needs an extra.

        Args:
            need: The feature, as the subject of the message: ``"reading parquet"``.
            extra: Name of the extra.
        """
        command = f"pip install -e '.[{extra}]'"
        return cls(f"{need} needs an optional package: in hmnpack's repository, run {command}")


class PushFails(HmnError):
    """The Hugging Face Hub cannot be reached, or does not accept what was pushed."""

    exit_code = 8


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or its type if there is none."""
    return str(error).partition("\n")[0].rstrip(" :.") or type(error).__name__


_OUT_OF_MEMORY = (
    "out of memory",
    "DefaultCPUAllocator: ",
    "unable to find an engine",
    "ALLOC_FAILED",
)
"""Texts of out-of-memory errors that have no class of their own.

They come from torch's allocator on CPUs, from Apple's devices, from cuDNN (which tries every
algorithm and drops the reasons for their failures), and from libraries that allocate memory
themselves."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that the host or its accelerator ran out of memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _OUT_OF_MEMORY)
