from flask import Flask
from flask_login import login_required
from flask_safesession import session_manager, transactional
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
app = Flask(__name__)


class Vote(db.Model):
    id = db.Column(db.Integer, primary_key=True)


@app.post("/votes")
def inside():
    with session_manager():
        with db.session.begin():  # TXN103
            db.session.add(Vote())
    return {}


@app.post("/own")
@transactional
def owned():
    with db.session.begin():  # TXN103
        db.session.add(Vote())
    return {}


@app.post("/mine")
@login_required
def after_the_user():
    with db.session.begin():  # TXN103
        db.session.add(Vote())
    return {}


@app.post("/again")
def after_an_add():
    db.session.add(Vote())
    with db.session.begin():  # TXN103
        db.session.add(Vote())
    return {}
