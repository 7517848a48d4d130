from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session, sessionmaker

app = Flask(__name__)
db = SQLAlchemy(app)
SessionLocal = sessionmaker()


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)


from framework import mailer

class Journal:
    def finish_all(self):
        db.session.commit()

def add_all(number):
    db.session.add(Item(id=number))
    add_all(number - 1)

@app.cli.command("one")
def one():
    add_all(1)  # TXN101

@app.cli.command("two")
def two(journal):
    db.session.add(Item())
    journal.finish_all()

@app.cli.command("three")
def three(unknown):
    db.session.add(Item())
    unknown.save_all()

@app.cli.command("four")
def four(unknown):
    db.session.add(Item())  # TXN101
    unknown.look()
