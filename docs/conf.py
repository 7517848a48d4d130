"""How Sphinx builds these pages; `make docs` runs it."""

import importlib.metadata
import sys
from pathlib import Path

# The package of this checkout, not another one that may be installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

project = "Flask-SafeSession"
author = "The Flask-SafeSession contributors"
project_copyright = "2026, the Flask-SafeSession contributors"
release = importlib.metadata.version("flask-safesession")
version = ".".join(release.split(".")[:2])

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
default_role = "any"
highlight_language = "python"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"Flask-SafeSession {version}"
