"""Pages of the reference that are made from code: settings, commands, HTTP, errors, exit codes."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, cast

import typer

import resultstore
from resultstore import ResultStoreError, Settings, connect
from resultstore.cli.app import make_app
from resultstore.cli.exits import Exit, exit_of
from resultstore.dispatch.orders import Dispatcher
from resultstore.gateway.app import create_app
from resultstore.model import errors
from resultstore.settings import attributes, settings_known

Schema = Mapping[str, Any]  # OpenAPI, as FastAPI writes it


def tables() -> dict[str, tuple[str, str]]:
    """Return title and text of each page, by its file name."""
    return {
        "settings.md": ("Settings", _settings()),
        "cli.md": ("Command line", "\n".join(_commands())),
        "http.md": ("HTTP", "\n".join(_http())),
        "errors.md": ("Errors", _errors()),
        "exit-codes.md": ("Exit codes", _exit_codes()),
    }


def _settings() -> str:
    lead = f"{inspect.getdoc(Settings)}\n\n"
    rows = []
    for name, (kind, setting) in settings_known().items():
        bare = kind.__origin__
        default = "" if setting.default == "" else f"`{setting.default}`"
        shown = getattr(bare, "__name__", str(bare))
        attribute = ".".join(attributes()[name])
        rows.append(f"| `RESULTSTORE_{name.upper()}` | `{attribute}` | {shown} | {default} | {setting.about} |\n")
    return lead + "| variable | attribute | type | default | |\n|---|---|---|---|---|\n" + "".join(rows)


def _commands() -> Iterator[str]:
    yield "`resultstore COMMAND`. With `--json` results are one JSON document on stdout, and an error one on stderr.\n"
    for name, command in _named(typer.main.get_command(make_app())):
        shown = [one for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
        words = [_argument(one) for one in shown if one.param_type_name == "argument"]
        yield f"## {name}\n\n```\nresultstore {' '.join([name, *words])}\n```\n\n{command.help}\n"
        rows = [f"| {_names(one)} | {_default(one)} | {getattr(one, 'help', '') or ''} |" for one in shown]
        if rows:
            yield "\n".join(["| | default | |", "|---|---|---|", *rows]) + "\n"


def _named(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401  click types no help
    """Yield every command with its full name, and the commands of each group."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            if command.invoke_without_command:
                yield prefix + name, command
            yield from _named(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def _argument(param: Any) -> str:  # noqa: ANN401  click types no help
    word = (param.metavar or param.name).upper()
    return word if param.required else f"[{word}]"


def _names(param: Any) -> str:  # noqa: ANN401  the same
    if param.param_type_name == "argument":
        return f"`{(param.metavar or param.name).upper()}`"
    return ", ".join(f"`{one}`" for one in param.opts)


def _default(param: Any) -> str:  # noqa: ANN401  the same
    return "" if param.default in {None, False, ""} or param.required else f"`{param.default}`"


def _http() -> Iterator[str]:
    settings = Settings(index_url="memory://", blobs_url="file:///nothing/is/written", secret_key="k" * 32)
    schema: Schema = create_app(connect(settings), dispatcher=cast("Dispatcher", object())).openapi()
    yield "The gateway describes itself at `/v1/openapi.json`. Errors are RFC 9457 problems with a stable `slug`.\n"
    for path, methods in schema["paths"].items():
        for method, what in methods.items():
            yield f"## {method.upper()} {path}\n\n{what.get('description', '')}\n"
            rows = [
                f"| `{one['name']}` | {one['in']} | {one.get('description', '')} |"
                for one in what.get("parameters", ())
            ]
            if rows:
                yield "\n".join(["| parameter | in | |", "|---|---|---|", *rows]) + "\n"
    for name, methods in schema["webhooks"].items():
        for method, what in methods.items():
            yield f"## Webhook: {method.upper()} {name}\n\n{what.get('description', '')}\n"
    for name, one in schema["components"]["schemas"].items():
        if name.endswith(("View", "Request")):
            fields = "\n".join(f"| `{field}` | {_type(about)} |" for field, about in one["properties"].items())
            yield f"## {name}\n\n{one.get('description', '')}\n\n| field | type |\n|---|---|\n{fields}\n"


def _type(about: Schema) -> str:
    if "$ref" in about:
        return str(about["$ref"]).rpartition("/")[2]
    if "anyOf" in about:
        return " or ".join(_type(one) for one in about["anyOf"])
    if about.get("type") == "array":
        return f"array of {_type(about['items'])}"
    return str(about.get("type", "any"))


def _errors() -> str:
    lead, _, tree = (inspect.getdoc(errors) or "").partition("\n\n")
    rows = "".join(f"| `{one.__name__}` | {inspect.getdoc(one)} |\n" for one in _classes())
    return f"{lead}\n\n```\n{tree}\n```\n\nAll of them come from `resultstore`.\n\n| error | |\n|---|---|\n{rows}"


def _classes() -> list[type[ResultStoreError]]:
    found = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, ResultStoreError)]
    missing = [one.__name__ for one in found if one.__name__ not in resultstore.__all__]
    assert not missing, f"resultstore does not export {missing}"
    return found


def _exit_codes() -> str:
    rows = []
    for code in Exit:
        named = [f"`{one.__name__}`" for one in _classes() if exit_of(one("")) is code]
        rows.append(f"| {code.value} | {code.name.lower().replace('_', ' ')} | {', '.join(named)} |\n")
    more = "\nA demo that a signal ends exits with 128 + the signal's number.\n"
    return "| code | | errors |\n|---|---|---|\n" + "".join(rows) + more
