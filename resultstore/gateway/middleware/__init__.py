"""Front: what a request must be like before a route sees it, and the line that is written of it."""
