"""Sessions in coroutines."""
