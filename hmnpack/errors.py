"""Every way in which input can be wrong, one class per rule, and the exit code of each.

Exit codes: 0 done; 1 a defect of hmnpack; 2 bad usage or settings; 3 bad data; 4 a bad bundle;
5 paused, or left by another rank (run again; `compress` with `--resume`); 6 a recorded score does
not hold; 7 an optional package is missing; 130 interrupted with nothing to resume.
"""


class HmnError(Exception):
    """Something that the caller can mend; its text is one line: what, which value, what instead."""

    exit_code = 2


class BadSettings(HmnError):
    """A setting, a combination of settings, or a name that does not exist."""


class BudgetTooSmall(HmnError):
    """The budget is too small for what is to be stored; the text names an ipc that works."""


class OutputExists(HmnError):
    """The output is there already, or is something that must not be written through."""


class BadData(HmnError):
    """A data set that breaks a rule."""

    exit_code = 3


class BadImage(BadData):
    """An image that cannot be decoded; the text names it."""


class BadBundle(HmnError):
    """A file that is not a whole, honest bundle."""

    exit_code = 4


class Paused(HmnError):
    """The run stopped before its end and left a checkpoint."""

    exit_code = 5


class Diverged(HmnError):
    """A loss or a weight became infinite or not a number; the text names the step."""


class RankLost(HmnError):
    """Another process of the run ended; the last checkpoint is whole."""

    exit_code = 5


class ScoreFails(HmnError):
    """Networks trained again by a score's protocol did not come to what it says."""

    exit_code = 6


class MissingExtra(HmnError):
    """An optional package is needed; the text names the command that installs it."""

    exit_code = 7

    @classmethod
    def of(cls, need: str, extra: str) -> "MissingExtra":
        """Return the error for a need that an extra answers."""
        command = f"pip install -e '.[{extra}]'"
        return cls(f"{need} needs an optional package: in hmnpack's repository, run {command}")


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception says, else its kind."""
    return str(error).partition("\n")[0].rstrip(" :.") or type(error).__name__


_OUT_OF_MEMORY = ("out of memory", "unable to find an engine", "ALLOC_FAILED")
"""What stands in errors of no class of their own: of Apple's devices, of cuDNN, which tries every
algorithm and forgets why each failed, and of libraries that allocate by themselves."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that a machine or its accelerator has no memory left."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _OUT_OF_MEMORY)
