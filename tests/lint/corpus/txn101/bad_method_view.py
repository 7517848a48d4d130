from flask.views import MethodView

from app.extensions import db
from app.models import Item


class ItemView(MethodView):
    def delete(self, item_id):
        item = db.session.get(Item, item_id)
        db.session.delete(item)  # TXN101
        return "", 204
