"""Logs: structlog and the standard library's logging as one stream on stderr, with signatures and passwords cut out."""

import logging
import re
import sys
from collections.abc import MutableMapping

import structlog

# Query parameters that let their holder read or write: ours, SigV4's, and temporary credentials.
_SIGNED = re.compile(r"(?i)\b(X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|signature)=[^&\s\"']+")
_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]+@")


def configure_logs(*, json: bool, level: int = logging.INFO) -> None:
    """Send all log lines to stderr: JSON, or coloured on a terminal. Call it once, at the start of a program."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redacted,
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redacted, last],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)


def redacted(_logger: object, _method: str, line: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """A structlog processor that cuts signatures and passwords out of every string of a line."""
    for name, value in line.items():
        if isinstance(value, str):
            line[name] = cut_secrets(value)
    return line


def cut_secrets(text: str) -> str:
    """`text` without the values of signature parameters and without passwords in URLs."""
    return _PASSWORD.sub(r"\1:***@", _SIGNED.sub(r"\1=***", text))
