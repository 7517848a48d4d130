from concurrent.futures import ThreadPoolExecutor
from functools import partial

from sqlalchemy.orm import Session

from app.reports import render

executor = ThreadPoolExecutor()


def report(session: Session, name: str):
    return executor.submit(partial(render, session, name))  # TXN401
