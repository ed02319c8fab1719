"""Name that `resultstore.gateway.local_bytes` had in the last release; it goes with the next one."""
