from app.extensions import db
from app.models import Export


def set_progress(export, value):
    export.progress = value
    db.session.commit()


def run(export_id):
    try:
        export = db.session.get(Export, export_id)
        set_progress(export, 0)
        export.write()
    except Exception:  # TXN201
        set_progress(export, 100)
