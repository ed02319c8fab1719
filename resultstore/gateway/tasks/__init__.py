"""Routes for starting tasks, and which tasks are offered."""
