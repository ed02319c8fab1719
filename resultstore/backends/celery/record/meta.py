"""Meta: what Celery calls the stored facts of a task, each read when somebody asks for it."""

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from datetime import datetime, tzinfo
from typing import Final, Protocol

from resultstore.model.result import Result, State

_ARGUMENTS: Final = frozenset({"args", "kwargs"})


class MetaReader(Protocol):
    """What a Meta asks of its backend."""

    @property
    def timezone(self) -> tzinfo:
        """The app's time zone, in which Celery gives `date_done`."""

    def whole(self, task_id: str) -> Result:
        """The Result with all that lies beside its record. Raises ResultMissing."""

    def outcome(self, found: Result) -> object:
        """The decoded value, or the exception."""

    def extras(self, found: Result) -> Mapping[str, object]:
        """What the backend keeps of a task beyond its record."""

    def arguments(self, kept: object) -> object:
        """The values of a task's arguments, which `result_extended` keeps; what cannot be read stays a reference."""


class TaskMeta(dict[str, object]):
    """A dict whose larger entries are read at first use: a poll of the state downloads no value, whatever its size.

    Args:
        found: the Result, as a peek or a load gave it.
        reads: fetches and decodes the rest.
    """

    def __init__(self, found: Result, reads: MetaReader) -> None:
        done = None if found.ended_at is None else datetime.fromtimestamp(found.ended_at, reads.timezone)
        super().__init__(task_id=found.id, status=str(found.state), date_done=done and done.isoformat())
        self._found = found
        self._reads = reads
        self._has_extras = False
        self._arguments: dict[str, object] = {}  # as they were sent

    def __missing__(self, key: str) -> object:
        if key == "result":
            self[key] = self._reads.outcome(
                self._with({"value"} if self["status"] == State.SUCCESS else {"value", "rest"})
            )
        elif key == "traceback":
            self[key] = self._with({"rest"}).traceback or None
        elif not self._has_extras:
            self._has_extras = True
            named = {"name": self._found.task, "worker": self._found.worker, "retries": self._found.retries}
            for name, value in {"children": [], **named, **self._reads.extras(self._with({"extra"}))}.items():
                (self._arguments if name in _ARGUMENTS else self).setdefault(name, value)
            return self[key]
        elif key in self._arguments:
            self[key] = self._reads.arguments(self._arguments.pop(key))
        else:
            raise KeyError(key)
        return dict.__getitem__(self, key)

    def get(self, key: str, default: object = None) -> object:
        """The entry, or `default`."""
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
        """All entries' names."""
        return dict.keys(self._complete())

    def values(self) -> ValuesView[object]:  # type: ignore[override]
        """All entries' values."""
        return dict.values(self._complete())

    def items(self) -> ItemsView[str, object]:  # type: ignore[override]
        """All entries."""
        return dict.items(self._complete())

    def copy(self) -> dict[str, object]:
        """A plain dict of all entries."""
        return dict(self.items())

    def _complete(self) -> "TaskMeta":
        for key in ("result", "traceback", "children"):
            self[key]
        for key in list(self._arguments):
            self[key]
        return self

    def _with(self, parts: set[str]) -> Result:
        """The Result, with these parts of what lies beside its record."""
        if self._found.unread & parts:
            self._found = self._reads.whole(self._found.id)
        return self._found
