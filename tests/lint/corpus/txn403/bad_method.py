from threading import Thread

from app.extensions import db
from app.models import Job


class Worker:
    def run(self):
        for job in db.session.query(Job):
            job.run()

    def start(self):
        Thread(target=self.run, daemon=True).start()  # TXN403
