"""Rewrites what is mechanical, with LibCST; imported by the command ``fix`` alone."""
