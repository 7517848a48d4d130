from flask import jsonify
from flask.views import View

from app.extensions import db
from app.log import log
from app.models import Server


class ServerView(View):
    methods = ["POST"]
    operations = {"rename": "rename"}

    def dispatch_request(self, operation, server_id):
        return getattr(self, self.operations[operation])(server_id)

    def rename(self, server_id):
        server = db.session.get(Server, server_id)
        server.name = "renamed"
        try:
            db.session.commit()
        except Exception as error:
            log.exception("server")
            return jsonify(success=0, error=str(error))
        return jsonify(success=1)
