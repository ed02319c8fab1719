"""resultstore: object-storage-backed results and artifacts for Python task queues."""
