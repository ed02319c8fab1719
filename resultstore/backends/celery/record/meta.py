"""TaskMeta: the dict of stored facts that Celery calls a task's meta; each entry is read at its first use."""

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from datetime import datetime, tzinfo
from typing import Final, Protocol

from resultstore.model.result import Result, State

_ARGUMENTS: Final = frozenset({"args", "kwargs"})


class MetaReader(Protocol):
    """What a TaskMeta reads from its backend."""

    @property
    def timezone(self) -> tzinfo:
        """The app's time zone, which Celery uses for `date_done`."""

    def load_whole(self, task_id: str) -> Result:
        """Load the Result with all that is stored next to its record. Raises ResultMissing."""

    def decode_outcome(self, found: Result) -> object:
        """Return the decoded value, or the exception."""

    def decode_extras(self, found: Result) -> Mapping[str, object]:
        """Return what the backend stores of a task beyond its record."""

    def resolve_arguments(self, kept: object) -> object:
        """Return the values of a task's stored arguments (`result_extended`); an unreadable one stays a reference."""


class TaskMeta(dict[str, object]):
    """A dict whose larger entries are read at their first use: a poll of the state downloads no value.

    Args:
        found: the Result, from a peek or a load.
        reader: fetches and decodes the rest.
    """

    def __init__(self, found: Result, reader: MetaReader) -> None:
        done = None if found.ended_at is None else datetime.fromtimestamp(found.ended_at, reader.timezone)
        super().__init__(task_id=found.id, status=str(found.state), date_done=done and done.isoformat())
        self._found = found
        self._reader = reader
        self._has_extras = False
        self._arguments: dict[str, object] = {}  # as they were sent

    def __missing__(self, key: str) -> object:
        if key == "result":
            self[key] = self._reader.decode_outcome(
                self._with({"value"} if self["status"] == State.SUCCESS else {"value", "rest"})
            )
        elif key == "traceback":
            self[key] = self._with({"rest"}).traceback or None
        elif not self._has_extras:
            self._has_extras = True
            named = {"name": self._found.task, "worker": self._found.worker, "retries": self._found.retries}
            for name, value in {"children": [], **named, **self._reader.decode_extras(self._with({"extra"}))}.items():
                (self._arguments if name in _ARGUMENTS else self).setdefault(name, value)
            return self[key]
        elif key in self._arguments:
            self[key] = self._reader.resolve_arguments(self._arguments.pop(key))
        else:
            raise KeyError(key)
        return dict.__getitem__(self, key)

    def get(self, key: str, default: object = None) -> object:
        """Return the entry, or `default`."""
        try:
            return self[key]
        except KeyError:
            return default

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def __iter__(self) -> Iterator[str]:
        return dict.__iter__(self._complete())

    def __bool__(self) -> bool:
        return True  # `if meta:` must not read a value to count it

    def __len__(self) -> int:
        return dict.__len__(self._complete())

    def __eq__(self, other: object) -> bool:
        return dict.__eq__(self._complete(), other)

    __hash__ = None

    def __repr__(self) -> str:
        return dict.__repr__(self._complete())

    def __reduce__(self) -> tuple[object, ...]:
        return dict, (dict(self.items()),)

    def keys(self) -> KeysView[str]:  # type: ignore[override]  # dict has a type of its own for each view
        """Return the names of all entries."""
        return dict.keys(self._complete())

    def values(self) -> ValuesView[object]:  # type: ignore[override]
        """Return the values of all entries."""
        return dict.values(self._complete())

    def items(self) -> ItemsView[str, object]:  # type: ignore[override]
        """Return all entries."""
        return dict.items(self._complete())

    def copy(self) -> dict[str, object]:
        """Return a plain dict of all entries."""
        return dict(self.items())

    def _complete(self) -> "TaskMeta":
        for key in ("result", "traceback", "children"):
            self[key]
        for key in list(self._arguments):
            self[key]
        return self

    def _with(self, parts: set[str]) -> Result:
        """Return the Result with these parts of what is stored next to its record."""
        if self._found.unread & parts:
            self._found = self._reader.load_whole(self._found.id)
        return self._found
