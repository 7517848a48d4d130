import sys

from app.extensions import db
from app.models import Admin


def main():
    try:
        db.session.add(Admin())
        db.session.commit()
    except Exception as error:
        print(f"Failed: {error}")
        sys.exit(1)
