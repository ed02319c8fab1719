"""Offers: the tasks that untrusted clients may start, and what each of them accepts."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
import pydantic

from resultstore.model.errors import WrongType

DEFAULT_MAX_BYTES = 100 * 1024 * 1024


class Options(pydantic.BaseModel):
    """Base of the models of a task's options. Unknown keys are refused."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One task that may be started over HTTP.

    Args:
        task: registered name of the task.
        title, description: texts for the page.
        takes: media types of its upload, also as ranges (`image/*`, `*/*`); () if it takes no upload and is started
            with its arguments alone. The bytes must be of the type that the client
            declares; `application/octet-stream` declares none.
        max_bytes: size of the largest upload.
        arguments: model that checks the arguments and gives their JSON Schema.
        webhook_url: receives a webhook when the task has ended, unless the client names another URL. Uploads from
            the page use it too. "" for the URL of the setting.
    """

    task: str
    title: str
    description: str = ""
    takes: tuple[str, ...] = ()
    max_bytes: int = DEFAULT_MAX_BYTES
    arguments: type[pydantic.BaseModel] = Options
    webhook_url: str = ""

    def checked(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """Return the given arguments as JSON values. Those that were not given are left to the task's defaults.

        Raises WrongType if the model does not allow them; the message names each wrong argument and all allowed ones.
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
"""Offers by the name of their task. A task that is not in it cannot be started."""

NO_OFFERS: Offers = MappingProxyType({})
