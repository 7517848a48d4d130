import requests

from app.extensions import db
from app.models import Page


class Crawler:
    def __init__(self):
        self.http = requests.Session()

    def crawl(self, page_id):
        page = db.session.get(Page, page_id)
        page.text = self.http.get(page.url).text  # TXN502
        db.session.commit()
