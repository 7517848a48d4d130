from sqlalchemy.orm import Session

from app.models import Export
from app.tasks import run_export


def start(session: Session, name: str):
    export = Export(name=name)
    session.add(export)
    session.flush()
    run_export.delay(export.id)  # TXN503
    return export
