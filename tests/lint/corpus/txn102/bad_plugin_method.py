from sqlalchemy.orm import Session

from app.models import Case


class SlackPlugin:
    def create_thread(self, case: Case, channel: str, db_session: Session):
        response = self.client.post(channel, case.title)
        case.thread = response["ts"]
        db_session.commit()  # TXN102
        return response
