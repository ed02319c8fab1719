"""Record: Celery's words for a task, written as a Result and read from one."""
