"""Ctrl-C in a Python program: a run saves its state before it ends."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from hmnpack.errors import Paused


@contextlib.contextmanager
def interrupt_after_saving() -> Iterator[Callable[[], bool]]:
    """Delay the first Ctrl-C until the block has paused; a second one interrupts at once.

    It yields a function that returns whether to pause. Handlers that a program installed itself,
    and other threads than the main one, are left alone.

    Raises:
        KeyboardInterrupt: at the end of the block, after a Ctrl-C.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    except Paused as paused:
        if asked:
            raise KeyboardInterrupt(str(paused)) from paused
        raise
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if asked:
        raise KeyboardInterrupt
