"""The Redis side: one pipelined connection pool, the scripts, and the pub/sub listener."""
