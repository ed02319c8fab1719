"""WorkflowNotes: stores which task ids belong to which root task."""

from resultstore.index.index import Index
from resultstore.model import layout


class WorkflowNotes:
    """Notes the root task of each message that has another root than itself.

    A single task costs nothing. Each other one costs a `SADD` and an `EXPIRE` that the sender does not wait for. Notes
    may be lost with the connection, so the children that are named in the records are followed as well.

    Args:
        index: stores the notes.
        life_s: how long after the last note; 0 without a limit.
    """

    def __init__(self, index: Index, *, life_s: int) -> None:
        self._index = index
        self._life_s = life_s

    def note(self, headers: dict[str, object]) -> None:
        """Note a message that is about to be sent."""
        root, sent = headers.get("root_id"), headers.get("id")
        if not isinstance(root, str) or not isinstance(sent, str) or root == sent:
            return
        self._index.unconfirmed.add_note(layout.workflow_key(root), sent, ttl_s=self._life_s or None)
