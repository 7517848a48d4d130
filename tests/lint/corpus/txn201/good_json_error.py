import json

from app.extensions import db
from app.models import Flag


def load(text):
    try:
        for content in json.loads(text):
            db.session.add(Flag(content=content))
        db.session.commit()
    except (json.JSONDecodeError, TypeError):
        print("not JSON")
