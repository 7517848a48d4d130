"""The documentation is true: its code runs, and its lists are complete."""
