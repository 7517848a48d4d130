"""The test suites of Flask-Security and Flask-SQLAlchemy, run without and with the extension."""
