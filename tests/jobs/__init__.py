"""Jobs: what runs outside of the request that asked for it."""
