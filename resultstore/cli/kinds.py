"""Kinds: which servers a demo can run on."""

from enum import StrEnum


class StackKind(StrEnum):
    """`embedded` needs nothing but Python; `real` takes the servers that the environment names."""

    EMBEDDED = "embedded"
    REAL = "real"
