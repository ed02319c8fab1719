"""CeleryGroups: saved groups, and the native chords of one backend."""

from collections.abc import Iterator
from typing import Any

from celery.result import GroupResult, result_from_tuple
from celery.utils.functional import _regen

from resultstore.backends.celery.chord.chord_outbox import ChordStatus
from resultstore.backends.celery.chord.chords import ChordCounter
from resultstore.index.index import ScriptRunner
from resultstore.model import layout


class CeleryGroups:
    """Saves groups under keys of their own, and counts chords where the index runs scripts.

    Args:
        backend: encodes, and names how long records live.
    """

    def __init__(self, backend: Any) -> None:  # noqa: ANN401 - Celery's backends have no types
        self._backend = backend
        self._keys = backend.store.index.keys
        self.chords = self._counter()

    @property
    def header_life_s(self) -> int:
        """How long a chord's header results and its saved group live, in seconds; 0 without a limit."""
        chord_s, result_s = self._backend.chord_expires, self._backend.expires
        return max(chord_s, result_s) if chord_s and result_s else 0

    def prepare_chord(self, header_result_args: tuple[Any, ...]) -> None:
        """Forget an earlier run of a chord; save a header that has groups in it, so that the body gets its shape."""
        if self.chords is None or isinstance(header_result_args[1], _regen):
            return
        header = self._backend.app.GroupResult(*header_result_args)
        self.chords.reset(header.id, list(_part_ids(header)))
        if any(isinstance(one, GroupResult) for one in header.results):
            self.save(header.id, header)

    def save(self, group_id: str, group: Any) -> Any:  # noqa: ANN401 - Celery's GroupResult
        """Save a group for as long as its results live; return it."""
        encoded = self._backend.encode({"result": group.as_tuple()})
        content = encoded if isinstance(encoded, bytes) else encoded.encode()
        self._keys.keep(layout.group_key(group_id), content, ttl_s=self.header_life_s or None)
        return group

    def restore(self, group_id: str) -> dict[str, Any] | None:
        """Return a saved group as Celery's meta, or None."""
        content = self._keys.read(layout.group_key(group_id))
        if content is None:
            return None
        meta: dict[str, Any] = self._backend.decode(content)
        meta["result"] = result_from_tuple(meta["result"], self._backend.app)
        return meta

    def delete(self, group_id: str) -> None:
        """Delete a saved group; a chord goes on."""
        self._keys.drop(layout.group_key(group_id))

    def forget(self, group_id: str) -> None:
        """Delete a saved group, and the rest of its chord: the body will not be sent."""
        self.delete(group_id)
        if self.chords is not None:
            self.chords.forget(group_id)

    def dispatch_chord(self, group_id: str) -> ChordStatus:
        """Send the body of a chord whose parts are all in, even while another worker holds it."""
        return ChordStatus.GONE if self.chords is None else self.chords.dispatch(group_id, force=True)

    def _counter(self) -> ChordCounter | None:
        if not isinstance(self._keys, ScriptRunner):
            return None
        conf = self._backend.app.conf
        options = conf.get("result_backend_transport_options") or {}
        lease_s = conf.get("resultstore_chord_lease_s")
        return ChordCounter(
            self._backend,
            self._keys,
            ordered=bool(options.get("result_chord_ordered", True)),
            lease_s=None if lease_s is None else max(1, int(lease_s)),
        )


def _part_ids(header: GroupResult) -> Iterator[str]:
    for one in header.results:
        if isinstance(one, GroupResult):
            yield from _part_ids(one)
        else:
            yield one.id
