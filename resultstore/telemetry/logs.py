"""Logs: what the library says goes where its process sends logs; our own programs send theirs to stderr, as one stream.

The library speaks through the standard library's `logging`, below "resultstore": a worker that is not ours decides by
its own means what becomes of it. No line bears a signature or a password.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from resultstore.telemetry.escapes import escape_controls, escape_json, escape_line
from resultstore.telemetry.redaction import redact

if TYPE_CHECKING:
    from structlog.typing import Processor

_OURS = "resultstore"
_OF_MANY_LINES = frozenset({"event", "exception", "stack"})


class EscapeControls(logging.Filter):
    """Lets every record through, with the control characters of its message and traceback written out."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record, so that no formatter prints what a terminal would obey."""
        record.msg, record.args = escape_controls(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = escape_controls(record.exc_text)
        return True


class Log:
    """Says events with their details, as structlog does, through the standard library."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, **details: object) -> None:
        """Say what is in order."""
        self._say(logging.INFO, event, details)

    def error(self, event: str, **details: object) -> None:
        """Log what has failed and needs an operator."""
        self._say(logging.ERROR, event, details)

    def warning(self, event: str, **details: object) -> None:
        """Say what somebody should know who looks after this process."""
        self._say(logging.WARNING, event, details)

    def _say(self, level: int, event: str, details: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            shown = redact(None, "", details)
            self._logger.log(level, _Message(event, shown), extra={"event": event, "details": shown})


class _Message:
    """An event and its details as one text, built only where a formatter asks for it."""

    def __init__(self, event: str, details: Mapping[str, object]) -> None:
        self._event, self._details = event, details

    def __str__(self) -> str:
        return " ".join([self._event, *(f"{name}={value!r}" for name, value in self._details.items())])


def configure_logs(*, json: bool, level: int = logging.INFO) -> None:
    """Send all log lines to stderr: JSON, or coloured on a terminal. Call it once, at the start of a program."""
    import structlog  # noqa: PLC0415 - with what it brings 4 MiB, that only programs of our own need

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
        _escaped,
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_json)
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(shared, last))
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    logging.getLogger(_OURS).setLevel(level)


def _formatter(shared: "Sequence[Processor]", last: "Processor") -> logging.Formatter:
    import structlog  # noqa: PLC0415 - as above

    class Formatter(structlog.stdlib.ProcessorFormatter):
        """Render a line of Log from its details; parse nothing, and redact nothing twice."""

        def format(self, record: logging.LogRecord) -> str:
            if not hasattr(record, "details"):
                return super().format(record)
            line: Any = {**record.details, "event": record.event}  # type: ignore[attr-defined]
            if record.exc_info:
                line["exc_info"] = record.exc_info
            for one in own:
                line = one(None, record.levelname.lower(), line)
            return str(last(None, "", line))

    own = [one for one in shared if one is not redact]
    return Formatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
    )


def _escaped(_logger: object, _method: str, line: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """A processor of structlog that writes control characters out; one value cannot begin a line of its own either."""
    for name, value in line.items():
        if isinstance(value, str) and not value.isprintable():
            line[name] = escape_controls(value) if name in _OF_MANY_LINES else escape_line(value)
    return line


def _json(line: object, default: Callable[[object], object], **_options: object) -> str:
    """By msgspec, which takes a third of json's time; integers beyond 64 bits are for json alone."""
    try:
        document = msgspec.json.encode(line, enc_hook=default).decode()
    except (OverflowError, ValueError, TypeError):
        document = json.dumps(line, default=default)
    return escape_json(document)
