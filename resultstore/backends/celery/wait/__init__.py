"""Wait: whoever waits for a task is woken, thread or coroutine."""
