from concurrent.futures import ThreadPoolExecutor as Pool
from threading import Thread as T
from threading import Timer as Tm

from app.models import db


def job():
    db.session.execute(db.text("select 1"))


def start():
    T(target=job).start()  # TXN403


def start_later():
    Tm(5, job).start()  # TXN403


def start_one_of_many():
    with Pool() as workers:
        workers.submit(job)  # TXN403


def start_here():
    from threading import Thread as Own

    Own(target=job).start()  # TXN403
