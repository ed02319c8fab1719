"""Messages: how Artifacts among a task's arguments travel through the broker."""

from typing import cast

from taskiq.abc.formatter import TaskiqFormatter
from taskiq.message import BrokerMessage, TaskiqMessage

from resultstore.backends.taskiq.value_codec import restore
from resultstore.model.markers import mark


class ArtifactFormatter(TaskiqFormatter):
    """A broker's own formatter, around which Artifacts become small dicts and Artifacts again.

    A formatter is the one place that every message passes on both sides: also one that is sent again by
    `Context.requeue`, which no middleware's `pre_send` sees.

    Args:
        inner: the formatter that the broker had.
    """

    def __init__(self, inner: TaskiqFormatter) -> None:
        self.inner = inner

    def dumps(self, message: TaskiqMessage) -> BrokerMessage:
        """Write `message`, which stays as it is."""
        args, kwargs = mark(message.args), mark(message.kwargs)
        return self.inner.dumps(message.model_copy(update={"args": args, "kwargs": kwargs}))

    def loads(self, message: bytes) -> TaskiqMessage:
        """Read what `dumps` wrote. It does no I/O."""
        read = self.inner.loads(message)
        read.args = cast("list[object]", restore(read.args))
        read.kwargs = cast("dict[str, object]", restore(read.kwargs))
        return read
