"""Instances that a block returns: the commit of the scope would expire them."""

from __future__ import annotations

import pytest

from .rewritten import left, rewritten

HEAD = """\
from sqlalchemy import func, select, text
import sqlalchemy as sa

from store.database import SessionLocal
from store import models
from store.models import Item


def fresh(name):
    return Item(name=name)


"""
REASON = "it returns instances, which the commit of the scope would expire"

INSTANCES = [
    "return db.get(Item, 1)",
    "return db.query(Item).filter_by(name=name).first()",
    "return db.query(models.Item).all()",
    "return db.scalars(select(Item)).all()",
    "return list(db.scalars(select(Item).where(Item.id > 1)))",
    "return db.scalars(sa.select(Item).where(Item.id > 1)).first()",
    "return db.execute(name).all()",
    "query = select(Item)\n        query = query.limit(2)\n        return db.scalars(query)",
    "return Item.query.all()",
    "return fresh(name)",
    "item = db.get(Item, 1)\n        return item if item else None",
    "item = db.get(Item, 1)\n        return item or None",
    "item = db.get(Item, 1)\n        return name and item",
    "item = db.get(Item, 1)\n        return {'item': item}",
    "item = db.get(Item, 1)\n        return {each: item for each in name}",
    "items = [each for each in db.query(Item)]\n        return items[0], len(items)",
    "items = []\n        for each in db.query(Item):\n            items.append(each)\n        return items",
    "item = Item(name=name)\n        db.add(item)\n        db.commit()\n        db.refresh(item)\n        return item",
    "return (each.name for each in db.query(Item).all())",
    "names = (each.name for each in db.query(Item).all())\n        return names",
    "return {'names': map(str, db.query(Item).all())}",
    "item = db.get(Item, 1)\n        return lambda: item.name",
]

KEPT = [
    "global last\n        last = db.query(Item).first()",
    "global last\n        last, other = db.query(Item).all()",
    "global last\n        last: Item = db.query(Item).first()",
    "global last\n        for last in db.query(Item):\n            print(last.name)",
    "name.item = db.get(Item, 1)",
    "models.cache['item'] = db.get(Item, 1)",
    "models.caches().first.item = db.get(Item, 1)",
]

PLAIN = [
    "return list(each.name for each in db.query(Item).all())",
    "return sorted(map(str, name))",
    "return (each.title() for each in name)",
    "item = db.get(Item, 1)\n        item.other = db.get(Item, 2)\n        db.commit()\n        return 1",
    "global last\n        last = db.query(Item).count()",
    "found: Item\n        found = db.get(Item, 1)\n        return found.name",
    "found = {}\n        found['item'] = db.get(Item, 1)\n        return len(found)",
    "return db.scalar(select(func.count()).select_from(Item))",
    "return db.query(Item.name).all()",
    "return db.query(func.max(Item.id)).scalar()",
    "names = db.scalars(select(Item.name))\n        return sorted(names)",
    "item = db.get(Item, 1)\n        return item.name if item else None",
    "item = db.get(Item, 1)\n        return item and item.name",
    "item = db.get(Item, 1)\n        return item is not None",
    "return [each.name for each in db.query(Item)]",
    "return db.execute(text('select 1')).scalar()",
    "name = name\n        return name",
    "item = Item(name=name)\n        db.add(item)\n        db.commit()\n        return item",
]


def _work(body: str) -> str:
    begin = "def work(name):\n    db = SessionLocal()\n    try:\n"
    return f"{HEAD}{begin}        {body}\n    finally:\n        db.close()\n"


@pytest.mark.parametrize("body", INSTANCES)
def test_a_block_that_returns_instances_is_left_alone(body: str) -> None:
    """They were read before the session was closed, and could be used; the scope would expire and detach them."""
    code = _work(body)
    assert any(REASON in each for each in left(code))
    assert rewritten(code) == code


@pytest.mark.parametrize("body", KEPT)
def test_a_block_that_keeps_instances_is_left_alone(body: str) -> None:
    """In a global, or in what somebody else holds: they are used long after the block."""
    code = _work(body)
    assert any("keeps an instance" in each for each in left(code))
    assert rewritten(code) == code


@pytest.mark.parametrize("body", PLAIN)
def test_a_block_that_returns_values_becomes_a_scope(body: str) -> None:
    """So does one whose instances were expired and detached already."""
    assert "with session_manager() as db:" in rewritten(_work(body))


def test_instances_that_are_returned_behind_the_block_count() -> None:
    """As those of the block do, unless the commit was the last that was done to them."""
    code = f"{_work('items = db.query(Item).all()')}    return items\n"
    assert any(REASON in each for each in left(code))
    added = "item = Item(name=name)\n        db.add(item)\n        db.commit()"
    assert "with session_manager()" in rewritten(f"{_work(added)}    return item\n")


def test_instances_are_not_read_behind_a_scope_of_its_own() -> None:
    """Its session is closed: ``DetachedInstanceError``."""
    inner = _work("items = db.query(Item).all()").replace("work", "read")
    code = f"{inner}    return items[0].name\n\n\n"
    outer = _work("db.add(Item(name=name))\n        read(name)\n        db.commit()").removeprefix(
        HEAD
    )
    found = left(code + outer)
    assert any("'items' is used outside of the block" in each for each in found)
