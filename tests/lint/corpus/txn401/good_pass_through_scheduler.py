from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import select


class Scheduler:
    def __init__(self):
        self.scheduler = BackgroundScheduler()

    def schedule(self, func, trigger, name=None):
        return self.scheduler.add_job(func=func, trigger=trigger, name=name), select(1)
