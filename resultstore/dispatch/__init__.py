"""Offers of tasks, and orders of work for a task queue. Each backend brings its own Dispatcher."""
