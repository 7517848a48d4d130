"""Projects that pytest runs inside a test: a small shop, its fixtures, and the tests of the case at hand."""

from __future__ import annotations

import textwrap

import pytest

PLUGIN = "flask_safesession.pytest_plugin"

SHOP = """
import os

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_safesession import SafeSession, on_commit, transactional

class Base(DeclarativeBase):
    pass

db = SQLAlchemy(model_class=Base)
sent = []

class Item(db.Model):
    __tablename__ = "shop_item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)

def create_app(url):
    app = Flask("shop")
    app.config.update(TESTING=True, SQLALCHEMY_DATABASE_URI=url)
    db.init_app(app)
    SafeSession(app)

    @app.post("/<name>")
    @transactional
    def add(name):
        db.session.add(Item(name=name))
        on_commit(sent.append, name)
        return "", 201

    return app

def names():
    return sorted(db.session.scalars(db.select(Item.name)))
"""

CONFTEST = """
import os

import pytest

from shop import create_app, db, names

@pytest.fixture(scope="session")
def app(tmp_path_factory):
    app = create_app(os.environ.get("SHOP", f"sqlite:///{tmp_path_factory.mktemp('shop')}/shop.db"))
    with app.app_context():
        db.drop_all()
        db.create_all()
    yield app
    with app.app_context():
        left = names()
        db.session.close()
        db.drop_all()
        db.engine.dispose()
    assert left == []

@pytest.fixture
def client(app):
    return app.test_client()
"""


class Inner:
    """A project in a folder of its own.

    Args:
        pytester: Its folder.
        monkeypatch: Changes the environment in which it runs.
    """

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        # Not what else is installed where the suite runs.
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        self._monkeypatch = monkeypatch
        self._pytester = pytester
        pytester.makepyfile(shop=SHOP)
        pytester.makeconftest(CONFTEST)

    def on(self, url: str) -> Inner:
        """Let its app use the database at *url*."""
        self._monkeypatch.setenv("SHOP", url)
        return self

    def run(self, tests: str, *arguments: str, ini: str = "") -> pytest.RunResult:
        """Run *tests* with the plugin, and with *arguments* on the command line."""
        self._pytester.makepyfile(
            test_shop=f"import pytest\nfrom shop import *\n{textwrap.dedent(tests)}"
        )
        self._pytester.makeini(f"[pytest]\nfilterwarnings = error\n{textwrap.dedent(ini)}")
        return self._pytester.runpytest_subprocess("-p", PLUGIN, *arguments)
