from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends
from sqlalchemy.orm import Session

from app.database import get_db
from app.flows import case_flow

DbSession = Annotated[Session, Depends(get_db)]
router = APIRouter()


@router.post("/cases")
def create(db_session: DbSession, background_tasks: BackgroundTasks, case_id: int):
    background_tasks.add_task(case_flow, case_id=case_id, db_session=db_session)  # TXN401
