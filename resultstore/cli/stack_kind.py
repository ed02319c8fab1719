"""The servers that a demo can run on."""

from enum import StrEnum


class StackKind(StrEnum):
    """`embedded` needs Python only; `real` uses the servers that the environment names."""

    EMBEDDED = "embedded"
    REAL = "real"
