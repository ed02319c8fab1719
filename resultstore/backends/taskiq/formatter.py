"""ArtifactFormatter: carries Artifacts among a task's arguments through the broker."""

from typing import cast

from taskiq.abc.formatter import TaskiqFormatter
from taskiq.message import BrokerMessage, TaskiqMessage

from resultstore.backends.taskiq.value_codec import restore
from resultstore.model.markers import mark


class ArtifactFormatter(TaskiqFormatter):
    """Wraps a broker's formatter: writes each Artifact as its envelope, and reads it back.

    Every message passes the formatter on both sides, also one that `Context.requeue` sends again, which no
    middleware's `pre_send` sees.

    Args:
        inner: the formatter that the broker had.
    """

    def __init__(self, inner: TaskiqFormatter) -> None:
        self.inner = inner

    def dumps(self, message: TaskiqMessage) -> BrokerMessage:
        """Write a copy of `message` with envelopes."""
        args, kwargs = mark(message.args), mark(message.kwargs)
        return self.inner.dumps(message.model_copy(update={"args": args, "kwargs": kwargs}))

    def loads(self, message: bytes) -> TaskiqMessage:
        """Read what `dumps` wrote. It does no I/O."""
        read = self.inner.loads(message)
        read.args = cast("list[object]", restore(read.args))
        read.kwargs = cast("dict[str, object]", restore(read.kwargs))
        return read
