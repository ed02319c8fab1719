"""Event streams: FastAPI serves 60 viewers from one listener, and each receives all states."""

import asyncio
import json
import threading

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse

from resultstore.aio import EVENT_STREAM_HEADERS, event_stream
from resultstore.model.result import Failure, Progress, Result, State
from resultstore.ops.embedded import free_port
from resultstore.store.attempt import Attempt, running

VIEWERS = 60


def events_of(chunks: list[bytes]) -> list[tuple[str, dict]]:
    found = []
    for block in b"".join(chunks).decode().split("\n\n"):
        if block and block != ":":
            kind, data = block.split("\n")
            found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def collect(stream) -> list[bytes]:
    async def main():
        return [chunk async for chunk in stream]

    return asyncio.run(asyncio.wait_for(main(), 60))


def test_stream_ends_with_the_artifacts(aio, store, task_id):
    with running(Attempt(task_id, owner="alice")) as attempt:
        store.put(b"a,b\n", name="a.csv")
    store.save(store.seal(attempt, value=b"secret value"))
    [(kind, shown)] = events_of(collect(event_stream(aio, task_id)))
    assert (kind, shown["state"], shown["terminal"]) == ("result", "SUCCESS", True)
    assert shown["artifacts"] == [{"name": "a.csv", "file_name": "a.csv", "media_type": "text/csv", "size_bytes": 4}]
    text = json.dumps(shown)
    for secret in ("secret value", attempt.artifacts[0].key, attempt.artifacts[0].mac, "alice"):
        assert secret not in text


def test_failure_and_line_breaks_stay_one_event(aio, store, task_id):
    store.save(Result(id=task_id, state=State.FAILURE, failure=Failure("ValueError", "two\n\nlines")))
    [(_, shown)] = events_of(collect(event_stream(aio, task_id)))
    assert shown["failure"] == {"type": "ValueError", "message": "two\n\nlines"}


def test_deleted_result_is_removed(aio, store, task_id):
    store.save(Result(id=task_id, state=State.SUCCESS, value=b"1"))
    store.delete(task_id)
    assert events_of(collect(event_stream(aio, task_id))) == [("removed", {"id": task_id})]


def test_idle_stream_sends_heartbeats(aio, store, task_id):
    async def main():
        store.save(Result(id=task_id, state=State.STARTED))
        chunks = []
        async for chunk in event_stream(aio, task_id, heartbeat_s=0.02, render=lambda one: {"is": one.state}):
            chunks.append(chunk)
            if chunks.count(b":\n\n") == 3:
                store.save(Result(id=task_id, state=State.SUCCESS, value=b"1"))
        return events_of(chunks)

    found = asyncio.run(asyncio.wait_for(main(), 60))
    assert found == [("result", {"is": "STARTED"}), ("result", {"is": "SUCCESS"})]


@pytest.fixture
def server(aio):
    """A FastAPI application with one stream a Result."""
    web = FastAPI()

    @web.get("/events/{task_id}")
    async def events(task_id: str) -> StreamingResponse:
        if await aio.peek(task_id) is None:
            raise HTTPException(404)
        return StreamingResponse(event_stream(aio, task_id), headers=dict(EVENT_STREAM_HEADERS))

    port = free_port()
    running_server = uvicorn.Server(uvicorn.Config(web, port=port, log_level="error"))
    thread = threading.Thread(target=running_server.run, daemon=True)
    thread.start()
    while not running_server.started:
        assert thread.is_alive()
    yield f"http://127.0.0.1:{port}"
    running_server.should_exit = True
    thread.join(20)


def test_60_viewers_of_a_server_receive_all_states(server, store, task_id):
    store.save(Result(id=task_id, state=State.STARTED))
    seen = [[] for _ in range(VIEWERS)]

    async def view(client: httpx.AsyncClient, number: int) -> None:
        async with client.stream("GET", f"{server}/events/{task_id}") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store"
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    seen[number].append(json.loads(line.removeprefix("data: ")))

    async def until(done: int) -> None:
        while not all(each and (each[-1]["progress"] or {}).get("done", 0) == done for each in seen):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def main():
        before = set(threading.enumerate())
        limits = httpx.Limits(max_connections=VIEWERS + 1)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client:
            views = [asyncio.create_task(view(client, number)) for number in range(VIEWERS)]
            await until(0)
            for done in (1, 2, 3):
                store.save(Result(id=task_id, state=State.PROGRESS, progress=Progress(done, 3)))
                await until(done)
            new = set(threading.enumerate()) - before
            assert sum(one.name == "resultstore-changes" for one in new) == 1
            assert (await client.get(f"{server}/events/unknown")).status_code == 404  # other routes are served
            store.save(Result(id=task_id, state=State.SUCCESS, value=b"1"))
            await asyncio.gather(*views)

    asyncio.run(asyncio.wait_for(main(), 60))
    assert all(each[-1]["terminal"] for each in seen)


def test_closed_stream_stops_watching(aio, store, task_id):
    from resultstore.aio.listener import listener_of  # noqa: PLC0415 - next to its use

    async def main():
        store.save(Result(id=task_id, state=State.STARTED))
        stream = event_stream(aio, task_id)
        await anext(stream)
        await stream.aclose()
        assert listener_of(store)._watchers == {}

    asyncio.run(main())
