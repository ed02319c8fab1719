"""How values are written into Celery's messages and records. No I/O."""
