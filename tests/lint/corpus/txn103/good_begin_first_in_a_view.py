from flask import Flask
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
app = Flask(__name__)


class Vote(db.Model):
    id = db.Column(db.Integer, primary_key=True)


@app.post("/votes")
def vote():
    with db.session.begin():
        db.session.add(Vote())
    return {}
