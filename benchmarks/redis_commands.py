"""Redis commands: counts how many a piece of work costs."""

import os
import threading
from collections.abc import Callable

import redis

_END = "bench-commands-end"


def count_commands(work: Callable[[], object], *, times: int) -> dict[str, float]:
    """Return the commands for each run of `work`: those that clients send, by MONITOR, and Redis' own count.

    Each command that a client sends costs a round trip, system calls and parsing; a script is one command. Redis' own
    count, `total_commands_processed`, also holds the commands inside a script. No other client may use this server.
    """
    url = os.environ["RS_TEST_REDIS_URL"]
    client, watching = redis.Redis.from_url(url), redis.Redis.from_url(url)  # a monitor takes its client's connection
    client.ping()  # connects, with some commands, before the count begins
    seen: list[bool] = []
    with watching.monitor() as monitor:
        listener = threading.Thread(target=lambda: seen.extend(_sent(monitor)))
        listener.start()
        before = client.info("stats")["total_commands_processed"]
        for _ in range(times):
            work()
        counted = client.info("stats")["total_commands_processed"] - before
        client.echo(_END)
        listener.join(60)
    # This function itself has sent two INFO and one ECHO.
    return {
        "redis_commands_per_result": (len(seen) - 2) / times,
        "redis_commands_with_scripts": (counted - 1) / times,
    }


def _sent(monitor):
    for entry in monitor.listen():
        if _END in entry["command"]:
            return
        if entry["client_type"] != "lua":
            yield True
