"""Exit codes of the command line, by kind of error (docs/reference/exit-codes.md)."""

from enum import IntEnum

from resultstore.model.errors import BadSetting, CommitUnknown, Damaged, NotThere, ResultStoreError, Unavailable


class Exit(IntEnum):
    """The exit codes that a calling program can act upon."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_THERE = 3
    UNAVAILABLE = 4
    DAMAGED = 5


EPILOG = (
    "Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 not found or expired, 4 a server is unavailable, 5 damaged bytes."
)


def exit_of(error: ResultStoreError) -> Exit:
    """Return the exit code for `error`."""
    match error:
        case BadSetting():
            return Exit.USAGE
        case NotThere():
            return Exit.NOT_THERE
        case Unavailable() | CommitUnknown():
            return Exit.UNAVAILABLE
        case Damaged():
            return Exit.DAMAGED
        case _:
            return Exit.FAILED
