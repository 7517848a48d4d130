from app.extensions import db


def clear(columns, book):
    for column in columns:
        if column.kind == "bool":
            db.session.delete(book.value(column))
            db.session.commit()  # TXN501
        elif column.kind == "rating":
            book.forget(column)
