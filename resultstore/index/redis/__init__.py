"""An Index on Redis or Valkey, single or cluster; each transition is one Lua script."""
