from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


import asyncio

from sqlalchemy.ext.asyncio import AsyncSession

async def load(session: AsyncSession, number):
    return await session.get(Item, number)

async def all_of(session: AsyncSession, numbers):
    jobs = []
    for number in numbers:
        jobs.append(load(session, number))
    await asyncio.gather(*jobs)  # TXN402

async def both(session: AsyncSession):
    first = load(session, 1)
    await asyncio.gather(first, asyncio.create_task(load(session, 2)))  # TXN402

async def none_of(numbers):
    other = numbers
    await asyncio.gather(*other)
    await asyncio.gather(*[each for each in numbers], 1)
