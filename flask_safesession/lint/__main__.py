"""``python -m flask_safesession.lint``."""

from .cli import main

main()
