import asyncio

from app.models import Item
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import sessionmaker

SessionLocal = sessionmaker()
AsyncLocal = async_sessionmaker()


def by_values(shards):
    sessions = {name: SessionLocal() for name in shards}
    try:
        for session in sessions.values():
            session.add(Item())
            session.commit()
    finally:
        for session in sessions.values():
            session.close()


def by_items(shards):
    sessions = {name: SessionLocal() for name in shards}
    try:
        return [name for name, session in sessions.items() if session.get(Item, 1)]
    finally:
        for name, session in sessions.items():
            print(name)
            session.close()


def by_a_comprehension(shards):
    sessions = [SessionLocal() for _ in shards]
    try:
        return [session.get(Item, 1).name for session in sessions]
    finally:
        [session.close() for session in sessions]


def backwards(shards):
    sessions = [SessionLocal() for _ in shards]
    try:
        return [session.get(Item, 1).name for session in sessions]
    finally:
        for session in reversed(sessions):
            session.close()


async def at_once(shards):
    sessions = [AsyncLocal() for _ in shards]
    try:
        return [(await session.get(Item, 1)).name for session in sessions]
    finally:
        await asyncio.gather(*(session.close() for session in sessions))
