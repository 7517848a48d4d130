from sqlalchemy.orm import Session


class Batch:
    def __init__(self, session: Session, lines: list[str]) -> None:
        self.session = session
        self.lines = lines

    def finish(self) -> None:
        failure = None
        try:
            self.session.flush()
        except Exception as error:
            failure = error
        try:
            self.lines.clear()
        finally:
            if failure is not None:
                raise failure
