"""Routes for uploads: the gateway's own tickets, and the two protocols of the browser library Uppy."""
