from fastapi import APIRouter, BackgroundTasks, Depends
from sqlalchemy.orm import Session

from app.database import get_db
from app.mails import send_all

router = APIRouter()


@router.post("/mails")
def mails(after: BackgroundTasks, db: Session = Depends(get_db)):
    after.add_task(send_all, db)  # TXN401
    return {"status": "accepted"}
