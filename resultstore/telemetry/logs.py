"""Logs: what the library says goes where its process sends logs; our own programs send theirs to stderr, as one stream.

The library speaks through the standard library's `logging`, below "resultstore": a worker that is not ours decides by
its own means what becomes of it. No line bears a signature or a password.
"""

import json
import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import msgspec

from resultstore.telemetry.escapes import visible, visible_json, visible_line
from resultstore.telemetry.redaction import redacted

_OURS = "resultstore"
_OF_MANY_LINES = frozenset({"event", "exception", "stack"})


class EscapeControls(logging.Filter):
    """Lets every record through, with the control characters of its message and traceback written out."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record, so that no formatter prints what a terminal would obey."""
        record.msg, record.args = visible(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = visible(record.exc_text)
        return True


class Log:
    """Says events with their details, as structlog does, through the standard library."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, **details: object) -> None:
        """Say what is in order."""
        self._say(logging.INFO, event, details)

    def warning(self, event: str, **details: object) -> None:
        """Say what somebody should know who looks after this process."""
        self._say(logging.WARNING, event, details)

    def _say(self, level: int, event: str, details: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            shown = redacted(None, "", details)
            words = " ".join([event, *(f"{name}={value!r}" for name, value in shown.items())])
            self._logger.log(level, "%s", words, extra={"event": event, "details": shown})


def configure_logs(*, json: bool, level: int = logging.INFO) -> None:
    """Send all log lines to stderr: JSON, or coloured on a terminal. Call it once, at the start of a program."""
    import structlog  # noqa: PLC0415 - with what it brings 4 MiB, that only programs of our own need

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redacted,
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
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_with_details, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redacted, _escaped, last],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    logging.getLogger(_OURS).setLevel(level)


def _escaped(_logger: object, _method: str, line: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """A processor of structlog that writes control characters out; one value cannot begin a line of its own either."""
    for name, value in line.items():
        if isinstance(value, str) and not value.isprintable():
            line[name] = visible(value) if name in _OF_MANY_LINES else visible_line(value)
    return line


def _with_details(_logger: object, _method: str, line: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """A processor of structlog that takes a line of ours apart again, which the others see as one text."""
    record: Any = line["_record"]
    if hasattr(record, "details"):
        line.update(record.details, event=record.event)
    return line


def _json(line: object, default: Callable[[object], object], **_options: object) -> str:
    """By msgspec, which takes a third of json's time; integers beyond 64 bits are for json alone."""
    try:
        document = msgspec.json.encode(line, enc_hook=default).decode()
    except (OverflowError, ValueError, TypeError):
        document = json.dumps(line, default=default)
    return visible_json(document)
