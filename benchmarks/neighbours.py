"""The same table under Django and under zope.sqlalchemy, both on SQLite in memory."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import django
import sqlalchemy as sa
import transaction as zope_transaction
from django.conf import settings
from django.db import connection, models
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    scoped_session,
    sessionmaker,
)
from zope.sqlalchemy import register

from .apps import FIRST


class Base(DeclarativeBase):
    """The declarative base of the tables without Flask."""


class Entry(Base):
    """The table of the apps once more."""

    __tablename__ = "entry"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(sa.String(40))


class ZopeSite(NamedTuple):
    """A session that zope's transaction manager commits, or that the caller does."""

    session: scoped_session[Session]
    manager: Any


@cache
def django_entry() -> Any:
    """Configure Django once and return the model, with its table created."""
    default = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings.configure(
        DATABASES={"default": default}, DEFAULT_AUTO_FIELD="django.db.models.AutoField"
    )
    django.setup()

    class DjangoEntry(models.Model):  # type: ignore[misc]
        label = models.CharField(max_length=40)

        class Meta:
            app_label = "benchmarks"
            db_table = "entry"

    with connection.schema_editor() as editor:
        editor.create_model(DjangoEntry)
    DjangoEntry.objects.create(pk=FIRST, label="first")
    return DjangoEntry


def django_work(entry: Any) -> str:
    """Store one object and read another one's column."""
    entry.objects.create(label="written")
    return str(entry.objects.values_list("label", flat=True).get(pk=FIRST))


def plain_session() -> scoped_session[Session]:
    """Return a scoped session on a filled database of its own."""
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    session = scoped_session(sessionmaker(engine))
    session.add(Entry(label="first"))
    session.commit()
    session.remove()
    return session


def zope_site() -> ZopeSite:
    """Return such a session that takes part in zope's transactions."""
    session = plain_session()
    register(session)
    return ZopeSite(session, zope_transaction.manager)


def session_work(session: scoped_session[Session]) -> str:
    """Store one object and read another one's column."""
    session.add(Entry(label="written"))
    return session.scalars(sa.select(Entry.label).where(Entry.id == FIRST)).one()
