"""The same shop without Flask-SafeSession."""

import os

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import String, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


class Product(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    stock: Mapped[int] = mapped_column(default=0)


def create_app(**config):
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get("DATABASE_URL", "sqlite:///shop.db")
    app.config.update(config)
    db.init_app(app)
    with app.app_context():
        db.create_all()
    return app


def stored(app):
    """The products and their stock, as everybody else sees them."""
    with app.app_context():
        rows = db.session.execute(select(Product.name, Product.stock).order_by(Product.name))
        return {row.name: row.stock for row in rows}
