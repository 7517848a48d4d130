import requests

from app.extensions import db
from app.models import Query


class Executor:
    def __init__(self, query_id):
        self.text = db.session.get(Query, query_id).text
        db.session.close()

    def run(self):
        self.result = requests.post("https://warehouse.example", data=self.text)
        db.session.add(self.result)
        db.session.commit()
