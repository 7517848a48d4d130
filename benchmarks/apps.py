"""Two Flask apps that differ in nothing but the extension, and the work that both do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_safesession import SafeSession

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

FIRST = 1


class Site(NamedTuple):
    """An app with its own database handle and model."""

    app: Flask
    db: SQLAlchemy
    entry: Any


def stock(url: URL) -> Site:
    """Return an app with Flask-SQLAlchemy and a filled table."""
    return _filled(_site(url))


def safe(url: URL) -> Site:
    """Return the same app with the extension."""
    site = _site(url)
    SafeSession(site.app, site.db)
    return _filled(site)


def work(site: Site) -> str:
    """Store one object and read another one's column: one INSERT and one SELECT."""
    site.db.session.add(site.entry(label="written"))
    statement = sa.select(site.entry.label).where(site.entry.id == FIRST)
    return str(site.db.session.scalars(statement).one())


def _site(url: URL) -> Site:
    class Base(DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)

    class Entry(db.Model):  # type: ignore[name-defined, misc]
        __tablename__ = "entry"
        id: Mapped[int] = mapped_column(primary_key=True)
        label: Mapped[str] = mapped_column(sa.String(40))

    app = Flask("benchmarks")
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)
    return Site(app, db, Entry)


def _filled(site: Site) -> Site:
    with site.app.app_context():
        site.db.create_all()
        if site.db.session.get(site.entry, FIRST) is None:
            site.db.session.add(site.entry(label="first"))
        site.db.session.commit()
    return site


def dispose(*sites: Site) -> None:
    """Close the sites' connections."""
    for site in sites:
        with site.app.app_context():
            site.db.engine.dispose()
