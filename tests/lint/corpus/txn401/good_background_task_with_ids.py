from fastapi import APIRouter, BackgroundTasks, Depends
from sqlalchemy.orm import Session

from app.database import get_db
from app.flows import incident_flow
from app.incidents import create

router = APIRouter()


@router.post("/incidents")
def new(background_tasks: BackgroundTasks, organization: str, db: Session = Depends(get_db)):
    incident = create(db_session=db)
    background_tasks.add_task(incident_flow, incident_id=incident.id, organization_slug=organization)
    return incident
