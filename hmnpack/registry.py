"""Names that select an implementation: a name never imports anything."""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Generic, TypeVar

from hmnpack.errors import BadSettings

T = TypeVar("T")


class Registry(Generic[T]):
    """A dictionary that refuses duplicates and answers unknown names with the near ones.

    Args:
        kind: What the entries are, for messages, such as ``"writer"``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that enters its argument under the name.

        Raises:
            ValueError: if the name is taken.
        """

        def enter(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = entry
            return entry

        return enter

    def __getitem__(self, name: str) -> T:
        if name in self._entries:
            return self._entries[name]
        near = get_close_matches(name, self._entries, n=3, cutoff=0.5) or sorted(self._entries)
        raise BadSettings(f"unknown {self.kind} {name!r}; did you mean {' or '.join(near)}?")

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))
