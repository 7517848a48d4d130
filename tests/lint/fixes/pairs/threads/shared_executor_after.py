from concurrent import futures

from flask import Blueprint
from flask_safesession import AppContextManager

from store.shop import Item, check, db

bp = Blueprint("items", __name__)
pool = AppContextManager().executor(1)


class Store:
    def __init__(self):
        self.workers = AppContextManager().executor()

    def begin(self, name):
        return self.workers.submit(store, f"{name} 2")


def store(name):
    check(name)
    db.session.add(Item(name=name))
    db.session.commit()


@bp.post("/<name>")
def add(name):
    jobs = [pool.submit(store, name), Store().begin(name)]
    futures.wait(jobs)
    return "", 202
