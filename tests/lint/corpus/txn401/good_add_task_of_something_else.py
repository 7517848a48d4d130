from sqlalchemy.orm import Session

from app.board import Board


def plan(board: Board, db: Session):
    board.add_task("paint", db)
