"""The small shop that the examples use."""

import os

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import CheckConstraint, ForeignKey, String, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_safesession import SafeSession


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)
safe = SafeSession()


class Product(db.Model):
    __table_args__ = (CheckConstraint("stock >= 0"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    stock: Mapped[int] = mapped_column(default=0)


class Order(db.Model):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))
    quantity: Mapped[int]


def create_app(**config):
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get("DATABASE_URL", "sqlite:///shop.db")
    app.config.update(config)
    db.init_app(app)
    safe.init_app(app, db)
    with app.app_context():
        db.create_all()
    return app


def stored(app):
    """The products and their stock, as everybody else sees them."""
    with app.app_context():
        rows = db.session.execute(select(Product.name, Product.stock).order_by(Product.name))
        return {row.name: row.stock for row in rows}
