"""The HTTP gateway: the API and page over one Store, and a second listener for the bytes of a local store.

Nothing here imports a task-queue backend; work is started through `resultstore.dispatch`.
"""
