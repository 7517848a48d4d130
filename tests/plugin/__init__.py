"""The tests of ``flask_safesession.testing`` and of the pytest plugin."""
