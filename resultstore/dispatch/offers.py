"""Offers: the tasks that strangers may start, and what each of them takes."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
import pydantic

from resultstore.model.errors import WrongType

DEFAULT_MAX_BYTES = 100 * 1024 * 1024


class Options(pydantic.BaseModel):
    """What a task takes beside its input; keys that it does not name are refused."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One task that may be started over HTTP.

    Args:
        task: its registered name.
        title, description: for people.
        takes: the media types of its upload; () when it takes none and is started by its arguments alone.
        max_bytes: the largest upload.
        arguments: the model that checks its arguments, and gives their JSON Schema.
        webhook_url: hears of the end where the client names none, uploads from the page too; "" for the setting's.
    """

    task: str
    title: str
    description: str = ""
    takes: tuple[str, ...] = ()
    max_bytes: int = DEFAULT_MAX_BYTES
    arguments: type[pydantic.BaseModel] = Options
    webhook_url: str = ""

    def checked(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """`arguments` as JSON values, those that were given; the task's own defaults stand for the others.

        Raises WrongType, naming each wrong argument and all that the task takes, for what the model does not allow.
        """
        unknown = sorted(set(arguments) - set(self.arguments.model_fields))
        takes = ", ".join(self.arguments.model_fields) or "nothing"
        if unknown:
            raise WrongType(f"{self.task} takes no argument {unknown[0][:40]!r}; it takes: {takes}")
        try:
            checked = self.arguments.model_validate(dict(arguments))
        except pydantic.ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
                for one in error.errors(include_input=False, include_url=False)
            )
            raise WrongType(f"{self.task} was called wrongly: {wrong}; it takes: {takes}") from None
        return checked.model_dump(mode="json", exclude_unset=True)


Offers = Mapping[str, Offer]
"""By the task's name. What is not in it cannot be started."""

NO_OFFERS: Offers = MappingProxyType({})
