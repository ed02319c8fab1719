"""The tasks of the spill matrix: one for each way to make a task."""

import threading
from collections.abc import Iterator

from celery import Celery, Task, group, shared_task
from celery.contrib.django.task import DjangoTask
from pydantic import BaseModel

from resultstore import Output
from resultstore.backends.celery import setup

app = Celery("matrix", set_as_current=False)
setup(app)
setup(app)  # changes nothing


@app.task
def length(value: object) -> int:
    return len(value)


@app.task
def make(size: int = 100_000) -> str:
    return "m" * size


@app.task
def same(value: object, **kwargs: object) -> object:
    return [value, kwargs] if kwargs else value


@app.task(base=Task)
def with_base(value: str) -> str:
    return value * 2


@app.task(base=DjangoTask)
def django(value: str) -> str:
    return value * 2


class Registered(Task):
    name = "matrix.registered"

    def run(self, value: str) -> str:
        return value * 2


class CallsSuper(Task):
    def __call__(self, value: str) -> str:
        assert isinstance(value, str)
        return super().__call__(value) + "after"


class CallsNothing(Task):
    def __call__(self, value: str) -> str:
        assert isinstance(value, str)
        return value * 2


class CallsNothingBack(Task):
    def __call__(self, *args: object) -> None:
        heard.append(len(args[-1]))


registered = app.register_task(Registered())


@app.task(base=CallsSuper)
def with_super(value: str) -> str:
    return value * 2


@app.task(base=CallsNothing)
def without_super(value: str) -> str:
    raise AssertionError("its class does without")


@app.task(bind=True)
def bound(self: Task, value: str) -> str:
    return value + self.request.id[:0] + value


@shared_task(name="matrix.shared")
def shared(value: str) -> str:
    return value * 2


class Model(BaseModel):
    text: str


@app.task(pydantic=True)
def typed(model: Model) -> Model:
    return Model(text=model.text * 2)


@app.task(bind=True)
def recursive(self: Task, value: str, depth: int = 3) -> str:
    return self.run(value, depth - 1) if depth else value * 2


@app.task(bind=True, max_retries=2)
def retries(self: Task, value: str) -> str:
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return value * 2


@app.task(bind=True, autoretry_for=(OSError,), retry_kwargs={"max_retries": 2, "countdown": 0})
def streams_after_a_retry(self: Task, value: str) -> Iterator[bytes]:
    yield value.encode()
    if not self.request.retries:
        raise OSError("once")


class Streams(CallsSuper):
    def __call__(self, value: str) -> object:
        return Task.__call__(self, value)


@app.task(bind=True, base=Streams, autoretry_for=(OSError,), retry_kwargs={"max_retries": 2, "countdown": 0})
def streams_below_a_call(self: Task, value: str) -> Iterator[bytes]:
    yield value.encode()
    if not self.request.retries:
        raise OSError("once")


@app.task(bind=True)
def replaces(self: Task, value: str) -> str:
    raise self.replace(same.s(value + value))


@app.task(bind=True)
def replaces_by_group(self: Task, value: str) -> str:
    raise self.replace(group(same.s(value + "1"), same.s(value + "2")))


gate = threading.Event()


@app.task
def blocks() -> bool:
    return gate.wait(10)


@app.task
def raises(value: str) -> None:
    raise ValueError(len(value))


heard: list[int] = []


@app.task
def errback(request: object, error: Exception, traceback: object, kept: str) -> None:
    """Celery calls one with this signature in the worker, like a function."""
    heard.append(len(kept))


@app.task(base=CallsNothingBack)
def errback_without_run(request: object, error: Exception, traceback: object, kept: str) -> None:
    raise AssertionError("its class does without")


@app.task
def output(value: str) -> Output:
    return Output(data=value.encode(), name=value[:5])
