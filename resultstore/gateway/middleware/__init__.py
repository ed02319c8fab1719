"""ASGI middlewares and connection limits: what checks, limits and logs a request before a route handles it."""
