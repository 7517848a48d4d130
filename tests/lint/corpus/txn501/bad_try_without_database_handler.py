from app.extensions import db


def update(rows, data):
    for row in rows:
        try:
            row.value = data[row.key]
        except KeyError:
            continue
        db.session.commit()  # TXN501
