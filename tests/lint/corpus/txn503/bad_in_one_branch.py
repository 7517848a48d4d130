from app.extensions import db
from app.models import Comment
from app.tasks import moderate


def comment(text, trusted):
    row = Comment(text=text)
    db.session.add(row)
    db.session.flush()
    if not trusted:
        moderate.delay(row.id)  # TXN503
    db.session.commit()
