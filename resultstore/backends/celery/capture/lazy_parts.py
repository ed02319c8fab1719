"""LazyParts: a long list of large values that a task reads one at a time, so that memory holds one."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, overload

_BODIES_KNOWN: Final = 1_000  # inspecting a signature takes 0.1 ms at every start of a task


class LazyParts(Sequence[object]):
    """The parts of a chord, or of any list, for a task that annotates its argument with this class.

    ```python
    @app.task
    def body(parts: LazyParts) -> int:
        return sum(len(part) for part in parts)
    ```

    Each part is fetched when it is reached, and is not kept: a second iteration fetches it again.
    If the task is called like a function, it gets the argument of its caller.

    Args:
        parts: values and references.
        resolved: returns the value of a reference.
    """

    def __init__(self, parts: Sequence[object], resolved: Callable[[object], object]) -> None:
        self._parts = parts
        self._resolved = resolved

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def references(self) -> Sequence[object]:
        """The parts as they were sent, to be sent again."""
        return self._parts

    def __iter__(self) -> Iterator[object]:
        return (self._resolved(part) for part in self._parts)

    @overload
    def __getitem__(self, at: int) -> object: ...

    @overload
    def __getitem__(self, at: slice) -> "LazyParts": ...

    def __getitem__(self, at: int | slice) -> object:
        if isinstance(at, slice):
            return LazyParts(self._parts[at], self._resolved)
        return self._resolved(self._parts[at])


@functools.lru_cache(_BODIES_KNOWN)
def lazy_parameters(body: Callable[..., object]) -> Mapping[str, int]:
    """Return name and position of each parameter of `body` that is annotated LazyParts, as a class or as text."""
    try:
        parameters = inspect.signature(body).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature
        return {}
    return {one.name: at for at, one in enumerate(parameters) if _is_lazy(one.annotation)}


def _is_lazy(annotation: object) -> bool:
    named = isinstance(annotation, str) and annotation.rpartition(".")[2] == LazyParts.__name__
    return annotation is LazyParts or named
