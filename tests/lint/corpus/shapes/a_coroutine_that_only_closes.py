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

async def finish(session: AsyncSession):
    await session.close()

async def load(session: AsyncSession, number):
    return await session.get(Item, number)

async def both(session: AsyncSession):
    await asyncio.gather(finish(session), load(session, 1))  # TXN402
