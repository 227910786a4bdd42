"""Words for errors."""


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception says, else its kind."""
    return str(error).partition("\n")[0].rstrip(" :.") or type(error).__name__
