"""WorkflowNotes: stores which task ids belong to which root task."""

from resultstore.index.index import Index
from resultstore.model import layout


class WorkflowNotes:
    """Notes below which root each message is sent, where it is not its own.

    So a task by itself costs nothing, and any other one `SADD` and one `EXPIRE` that nobody waits for. Notes may be
    lost with the connection: what the records say of their children is followed as well.

    Args:
        index: keeps the notes.
        life_s: for how long after the last one; 0 for ever.
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
