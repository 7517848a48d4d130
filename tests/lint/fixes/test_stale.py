"""A commit expires instances and a flush does not: what reads them afterwards is left alone."""

from __future__ import annotations

from textwrap import indent

import pytest

from .rewritten import left, rewritten

HEAD = """\
from flask import Blueprint, jsonify
from flask_login import current_user
from sqlalchemy import text, update

from store.database import SessionLocal
from store.shop import db

bp = Blueprint("orders", __name__)


class Order(db.Model):
    __tablename__ = "order"
    id = db.Column(db.Integer, primary_key=True)
    state = db.Column(db.String)
    lines = db.relationship("Line", backref=db.backref("order"))

    def to_dict(self):
        return {"lines": len(self.lines)}


class Line(db.Model):
    __tablename__ = "line"
    id = db.Column(db.Integer, primary_key=True)
    order_id = db.Column(db.ForeignKey("order.id"))


"""
GET = "order = db.session.get(Order, id)\n"
LINE = "line = db.session.get(Line, id)\n"
FULL = f"{GET}if len(order.lines) > 3:\n    return 'full', 409\n"
ADD = "db.session.add(Line(order_id=order.id))\ndb.session.commit()\n"


def _view(body: str) -> str:
    return f"{HEAD}@bp.post('/<int:id>')\ndef add(id):\n{indent(body, '    ')}\n"


STALE = {
    "a collection that was loaded": f"{FULL}{ADD}return jsonify(len(order.lines))",
    "a method of its owner": f"{FULL}{ADD}return jsonify(order.to_dict())",
    "its owner goes to a function": f"{FULL}{ADD}return jsonify(dump(order))",
    "a row of the collection is deleted": (
        f"{LINE}order = line.order\nold = len(order.lines)\ndb.session.delete(line)\n"
        "db.session.commit()\nreturn jsonify(old - len(order.lines))"
    ),
    "a reference that was loaded": (
        f"{LINE}if line.order is None:\n    return '', 404\nline.order_id = 2\n"
        "db.session.commit()\nreturn jsonify(state=line.order.state)"
    ),
    "an update in SQL": (
        f"{GET}db.session.execute(text('UPDATE \"order\" SET state = 1'))\n"
        "db.session.commit()\nreturn jsonify(state=order.state)"
    ),
    "an update in SQL with a name": (
        f"{GET}statement = text('UPDATE \"order\" SET state = 1')\ndb.session.execute(statement)\n"
        "db.session.commit()\nreturn jsonify(state=order.state)"
    ),
    "an update of the table": (
        f"{GET}db.session.execute(Order.__table__.update().values(state='x'))\n"
        "db.session.commit()\nreturn jsonify(state=order.state)"
    ),
    "an update that does not look for instances": (
        f"{GET}Order.query.update({{'state': 'x'}}, synchronize_session=False)\n"
        "db.session.commit()\nreturn jsonify(state=order.state)"
    ),
    "the user who is logged in": (
        "if not current_user.state:\n    return '', 403\n"
        "db.session.execute(text('UPDATE \"user\" SET state = 1'))\n"
        "db.session.commit()\nreturn jsonify(state=current_user.state)"
    ),
}


@pytest.mark.parametrize("body", STALE.values(), ids=STALE)
def test_what_only_a_commit_reads_again_is_left_alone(body: str) -> None:
    """Before, the view answered with the old collection, reference or value."""
    code = _view(body)
    assert "a commit makes" in left(code)[-1]
    assert rewritten(code) == code


FRESH = {
    "a collection that was not loaded": f"{GET}{ADD}return jsonify(len(order.lines))",
    "the collection is not read again": f"{FULL}{ADD}return jsonify(state='stored')",
    "a keyword of the same name": f"{FULL}{ADD}return jsonify(order=1, other=bp.order)",
    "a column": f"{FULL}{ADD}return jsonify(state=order.state)",
    "a change that the session follows": (
        f"{FULL}order.state = 'x'\ndb.session.commit()\nreturn jsonify(len(order.lines))"
    ),
    "an update that the session follows": (
        f"{GET}db.session.execute(update(Order).values(state='x'))\n"
        "db.session.commit()\nreturn jsonify(state=order.state)"
    ),
    "an update in SQL without instances": (
        "db.session.execute(text('UPDATE \"order\" SET state = 1'))\n"
        "db.session.commit()\norder = db.session.get(Order, id)\nreturn jsonify(state=order.state)"
    ),
    "a select in SQL": (
        f"{GET}order.state = db.session.scalar(text('SELECT 1'))\n"
        "db.session.commit()\nreturn jsonify(state=order.state)"
    ),
}


@pytest.mark.parametrize("body", FRESH.values(), ids=FRESH)
def test_what_a_flush_leaves_as_it_is_in_the_database_is_rewritten(body: str) -> None:
    """The flush is enough for it."""
    assert "@transactional" in rewritten(_view(body))


def test_a_service_that_writes_past_the_instances_is_left_alone() -> None:
    """Its callers may have loaded some; before, they read the old values."""
    code = _view(f"{GET}close_all()\nreturn jsonify(state=order.state)").replace(
        "@bp.post",
        "def close_all():\n    db.session.execute(text('UPDATE \"order\" SET state = 1'))\n"
        "    db.session.commit()\n\n\n@bp.post",
    )
    assert any("its callers may have loaded" in each for each in left(code))
    assert rewritten(code) == code


def test_a_service_may_have_changed_a_collection_that_its_caller_loaded() -> None:
    """Before, the caller read the collection as it was."""
    service = "def add_line(order):\n    db.session.add(Line(order_id=order.id))\n    db.session.commit()\n\n\n"
    view = _view(f"{FULL}add_line(order)\nreturn jsonify(len(order.lines))")
    code = view.replace("@bp.post", f"{service}@bp.post")
    assert any("'order.lines' was loaded before" in each for each in left(code))
    assert rewritten(code) == code


def test_a_block_is_no_other() -> None:
    """The second half of a block read what the first had loaded, although a commit was between them."""
    body = (
        "db = SessionLocal()\ntry:\n    order = db.get(Order, id)\n    old = len(order.lines)\n"
        "    db.add(Line(order_id=id))\n    db.commit()\n    order.state = len(order.lines)\n    db.commit()\n"
        "    return old\nfinally:\n    db.close()"
    )
    code = f"{HEAD}def add(id):\n{indent(body, '    ')}\n"
    assert any("'order.lines' was loaded before" in each for each in left(code))
    assert rewritten(code) == code
