"""Routes and services that start, retry and cancel tasks, and the offers of registered tasks."""
