"""How the command's process keeps the memory that it frees."""

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
"""Parameters of glibc's ``mallopt``, from its ``malloc.h``."""

_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let the C library reuse large blocks instead of returning them; return whether it agrees.

    glibc maps each block of over 32 MB anew, and the system clears its pages, at every step. That
    was half of the processor time of a step on 1,500 images of 64 pixels. Other C libraries have
    no such function. It changes the whole process, so that only commands call it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or none by that name
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, _MOST))
