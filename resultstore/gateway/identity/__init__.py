"""Identity: who asks, by which token, and what he may do."""
