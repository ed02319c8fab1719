"""Asked: how many commands a piece of work asks of Redis."""

import os
import threading
from collections.abc import Callable

import redis

_END = "bench-asked-end"


def asked(work: Callable[[], object], *, times: int) -> dict[str, float]:
    """Commands for each time: what clients send, by MONITOR, and Redis' own count.

    What clients send is what is paid for in round trips, system calls and parsing; a script is one command. Redis' own
    count, `total_commands_processed`, holds what scripts call inside it as well. Nobody else may use this server.
    """
    url = os.environ["RS_TEST_REDIS_URL"]
    client, watching = redis.Redis.from_url(url), redis.Redis.from_url(url)  # a monitor takes its client's connection
    client.ping()  # its connection is made, with some commands, before they are counted
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
    # The two INFO and the ECHO are ours.
    return {
        "redis_commands_per_result": (len(seen) - 2) / times,
        "redis_commands_with_scripts": (counted - 1) / times,
    }


def _sent(monitor):
    for told in monitor.listen():
        if _END in told["command"]:
            return
        if told["client_type"] != "lua":
            yield True
