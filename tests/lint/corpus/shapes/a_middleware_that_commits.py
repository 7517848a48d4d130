from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


class CommitMiddleware:
    def __init__(self, application):
        self.application = application

    def __call__(self, environ, start_response):
        answer = self.application(environ, start_response)
        db.session.commit()
        return answer

@app.post("/items")
def add_item():
    db.session.add(Item())
    return "", 201
