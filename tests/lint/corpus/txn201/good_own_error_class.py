from app.extensions import db
from app.models import Package


class DataError(Exception):
    pass


def show(package: Package):
    try:
        package.validate()
        db.session.commit()
    except DataError:
        return None
    return package
