from sqlalchemy.orm import Session

from app.models import Case


def recalculate(session: Session, cases: list[Case]):
    for case in cases:
        try:
            case.cost = case.compute()
            session.add(case)
            session.commit()
        except Exception as error:  # TXN201
            print(error)
