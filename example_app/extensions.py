"""The extensions, unbound until `create_app` binds them."""

from __future__ import annotations

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase

from flask_safesession import SafeSession


class Base(DeclarativeBase):
    """The base of all tables."""


db = SQLAlchemy(model_class=Base)
safe = SafeSession()
