"""Logs: events with details, through the standard library's `logging`, without secrets.

The loggers are below "resultstore", so that a user's worker can configure them. Our own programs log to stderr.
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

_ROOT = "resultstore"
_MULTILINE = frozenset({"event", "exception", "stack"})


class EscapeControls(logging.Filter):
    """Passes every record on, with the control characters of its message and traceback escaped."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Escape control characters in the record, so that no formatter prints them."""
        record.msg, record.args = escape_controls(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = escape_controls(record.exc_text)
        return True


class Log:
    """A logger of events with details, like structlog's, on the standard library."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, **details: object) -> None:
        """Log an expected event."""
        self._log(logging.INFO, event, details)

    def error(self, event: str, **details: object) -> None:
        """Log a failure that needs an operator."""
        self._log(logging.ERROR, event, details)

    def warning(self, event: str, **details: object) -> None:
        """Log an event that the operator should know about."""
        self._log(logging.WARNING, event, details)

    def _log(self, level: int, event: str, details: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            safe = redact(None, "", details)
            self._logger.log(level, _Message(event, safe), extra={"event": event, "details": safe})


class _Message:
    """An event and its details as one text, built only when a formatter needs it."""

    def __init__(self, event: str, details: Mapping[str, object]) -> None:
        self._event, self._details = event, details

    def __str__(self) -> str:
        return " ".join([self._event, *(f"{name}={value!r}" for name, value in self._details.items())])


def configure_logs(*, json: bool, level: int = logging.INFO) -> None:
    """Send all log lines to stderr, as JSON or as text. Call it once, at the start of a program."""
    import structlog  # noqa: PLC0415 - with its dependencies 4 MiB, which only our own programs need

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
        _escape,
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
    logging.getLogger(_ROOT).setLevel(level)


def _formatter(shared: "Sequence[Processor]", last: "Processor") -> logging.Formatter:
    import structlog  # noqa: PLC0415 - as above

    class Formatter(structlog.stdlib.ProcessorFormatter):
        """Renders a line of Log from its details, without parsing it, and without redacting it again."""

        def format(self, record: logging.LogRecord) -> str:
            if not hasattr(record, "details"):
                return super().format(record)
            line: Any = {**record.details, "event": record.event}  # type: ignore[attr-defined]
            if record.exc_info:
                line["exc_info"] = record.exc_info
            for one in processors:
                line = one(None, record.levelname.lower(), line)
            return str(last(None, "", line))

    processors = [one for one in shared if one is not redact]
    return Formatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
    )


def _escape(_logger: object, _method: str, line: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """Escape control characters in each value of a line, as a processor of structlog. Values stay on one line."""
    for name, value in line.items():
        if isinstance(value, str) and not value.isprintable():
            line[name] = escape_controls(value) if name in _MULTILINE else escape_line(value)
    return line


def _json(line: object, default: Callable[[object], object], **_options: object) -> str:
    """Encode with msgspec, which takes a third of json's time; use json for integers beyond 64 bits."""
    try:
        document = msgspec.json.encode(line, enc_hook=default).decode()
    except (OverflowError, ValueError, TypeError):
        document = json.dumps(line, default=default)
    return escape_json(document)
