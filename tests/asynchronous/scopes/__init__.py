"""Scopes in coroutines: twins of the tests of scopes, and what only tasks can do wrong."""
