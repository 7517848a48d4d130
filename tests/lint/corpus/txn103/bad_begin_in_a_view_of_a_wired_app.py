from flask import Flask
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
app = Flask(__name__)
app.config["SAFESESSION_TRANSACTIONAL_VIEWS"] = True


@app.post("/votes")
def vote():
    with db.session.begin():  # TXN103
        db.session.execute(db.text("delete from vote"))
    return {}
