from concurrent.futures import ThreadPoolExecutor

from app.database import SessionLocal
from app.reports import render


def reports(names):
    with SessionLocal() as session, ThreadPoolExecutor() as executor:
        for name in names:
            executor.submit(render, session, name)  # TXN401
