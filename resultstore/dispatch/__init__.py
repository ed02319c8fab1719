"""What the gateway may start, and how an order reaches a task queue; each backend brings its own way."""
