"""The tests of Flask-SafeSession."""
