"""The same units of work with hand-written sessions and with Flask-SafeSession, side by side."""
