import requests

from app.extensions import db
from app.models import Page


def crawl(urls):
    for url in urls:
        text = requests.get(url).text
        db.session.add(Page(url=url, text=text))
        db.session.commit()
