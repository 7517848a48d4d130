"""Units of work on real databases while everything fails around them, and what is counted afterwards."""
