"""The pages of the rules are found where they are: in a checkout, or in a wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_safesession.lint import explain
from flask_safesession.lint.catalogue import COMMENTS


def test_a_wheel_has_the_pages_beside_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They win over those of a checkout."""
    (tmp_path / f"{explain.stem(COMMENTS)}.rst").write_text(PAGE, encoding="utf-8")
    monkeypatch.setattr(explain, "_FOLDERS", (tmp_path, *explain._FOLDERS))
    assert explain.page(COMMENTS) == PLAIN


def test_without_pages_there_is_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may have packed the code alone."""
    monkeypatch.setattr(explain, "_FOLDERS", (tmp_path,))
    assert explain.page(COMMENTS) == f"{COMMENTS.summary}\n"


def test_an_explanation_names_the_rule() -> None:
    """Its id, its slug and its levels stand above its page."""
    text = explain.explain(COMMENTS)
    assert text == f"TXN002 comment-without-effect (warning)\n\n{explain.page(COMMENTS)}"


PAGE = """\
:run: as files

Title
=====

Call ``flush()``; see :doc:`the settings </reference/checker/configuration>` and :doc:`index`.

.. code-block:: python
   :caption: bad.py

   x = 1

.. code-block:: console

   $ lint
"""

PLAIN = """\
Title
=====

Call `flush()`; see the settings and index.

bad.py:

   x = 1


   $ lint
"""
