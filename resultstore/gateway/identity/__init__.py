"""Authentication and authorization: open mode, static tokens and JWTs, and the scopes of a caller."""
