"""Retry: the whole transaction once more."""
