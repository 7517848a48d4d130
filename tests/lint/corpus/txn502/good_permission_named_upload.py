from flask_login import current_user

from app.extensions import db
from app.models import Book


def edit(book_id):
    book = db.session.get(Book, book_id)
    if current_user.role_upload():
        book.cover = True
    db.session.commit()
