"""Reference page of the shipped tasks, made from their offers and docstrings."""

import importlib
import re
from collections.abc import Iterator

import griffe

from resultstore_tasks.declaration import MIB, ShippedOffer
from resultstore_tasks.offers import TASK_MODULES, offers

TITLE = "Shipped tasks"
_LEAD = """Tasks that `resultstore worker` runs. Send them by name, with the source and the options by position or name:
`app.send_task("images.resize", (artifact,), {"widths": [800]})`. Over HTTP, `GET /v1/tasks` lists them with a JSON
Schema of their options.
"""


def tasks_page(package: griffe.Object | griffe.Alias) -> str:
    """Return the page's text: each task in the order in which it is offered."""
    functions = {offer.task: (offer, function) for offer, function in _functions(package)}
    return _LEAD + "".join("\n" + "\n".join(_entry(package, *functions[name])) for name in offers)


def _functions(package: griffe.Object | griffe.Alias) -> Iterator[tuple[ShippedOffer, griffe.Function]]:
    """Yield each function that is decorated with `@offered(...)`, and its offer."""
    for module in TASK_MODULES:
        declared = importlib.import_module(module.removesuffix(".task") + ".offer")
        for function in package[module.removeprefix("resultstore_tasks.")].functions.values():
            for decorator in function.decorators:
                if found := re.match(r"offered\((\w+)", str(decorator.value)):
                    yield getattr(declared, found[1]), function


def _entry(package: griffe.Object | griffe.Alias, offer: ShippedOffer, function: griffe.Function) -> Iterator[str]:
    options = package[offer.arguments.__module__.removeprefix("resultstore_tasks.")][offer.arguments.__name__]
    described = {name: _flat(one.docstring.value) for name, one in options.attributes.items() if one.docstring}
    lead, _, rest = (function.docstring.value if function.docstring else "").partition("\n\nReturns ")
    lead, _, source = lead.partition("\n\nArgs:\n")
    yield f"## {offer.task}\n\n```python\n{_call(offer, function)}\n```\n\n{lead}\n"
    if offer.takes:
        text = _flat(source.partition("source: ")[2].partition("options: ")[0])
        types = ", ".join(f"`{one}`" for one in offer.takes)
        yield f"* `source`: {text} Uploads: {types}, at most {_size(offer.max_bytes)}."
    yield from (f"* `{name}`: {described[name]}" for name in offer.arguments.model_fields)
    yield f"\nReturns {rest}\n"


def _call(offer: ShippedOffer, function: griffe.Function) -> str:
    fields = offer.arguments.model_fields
    given = ["source"] if offer.takes else []
    given += [name if one.is_required() else f"{name}={one.default!r}" for name, one in fields.items()]
    return f"{offer.task}({', '.join(given)}) -> {function.returns}"


def _size(size_bytes: int) -> str:
    mib = size_bytes // MIB
    return f"{mib // 1024} GiB" if mib % 1024 == 0 else f"{mib} MiB"


def _flat(text: str) -> str:
    return " ".join(text.split())
