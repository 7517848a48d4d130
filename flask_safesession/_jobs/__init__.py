"""Jobs: callables that run outside of the request that asked for them."""
