"""The `resultstore` command: runs one command line and turns each error into one line and an exit code."""

import io
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from resultstore.cli import chord, doctor, maintenance, owners, read, run, serve, share, tokens, write
from resultstore.cli.exits import EPILOG, Exit, exit_of
from resultstore.cli.output import say_error
from resultstore.model.errors import ResultStoreError
from resultstore.telemetry.logs import configure_logs
from resultstore.telemetry.redaction import cut_secrets


def make_app() -> typer.Typer:
    """Return the command with all its groups."""
    app = typer.Typer(
        name="resultstore",
        help="Large results of task queues, in object storage.",
        epilog=EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    for group in (run, read, chord, write, share, serve, maintenance, doctor, owners, tokens):
        group.add_to(app)
    app.callback()(_about)
    return app


def main() -> None:
    """Run the console script."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    json = "--json" in argv
    if isinstance(sys.stdout, io.TextIOWrapper):  # a character that the terminal cannot show is escaped
        sys.stdout.reconfigure(errors="backslashreplace")
    configure_logs(json=False)  # stdout is for the command's output only
    try:
        code = make_app()(args=list(argv), standalone_mode=True)
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(Exit.FAILED)
    except ResultStoreError as error:
        return _report(error, str(error), code=exit_of(error), json=json)
    except BrokenPipeError:
        return Exit.FAILED  # the reader of the output has closed it
    except OSError as error:
        return _report(
            error, f"{error.strerror or error}: {error.filename or ''}".rstrip(": "), code=Exit.FAILED, json=json
        )
    return code if isinstance(code, int) else int(Exit.OK)


def _print_version(wanted: bool) -> None:  # noqa: FBT001
    if wanted:
        sys.stdout.write(version("resultstore") + "\n")
        raise typer.Exit


def _about(
    _version: Annotated[  # noqa: FBT002
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Large results of task queues, in object storage."""


def _report(error: Exception, message: str, *, code: Exit, json: bool) -> int:
    say_error(name=type(error).__name__, message=cut_secrets(message), code=code, json=json)
    return int(code)
