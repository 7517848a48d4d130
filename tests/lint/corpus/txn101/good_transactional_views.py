from app.extensions import app, db, safesession
from app.models import Customer

app.config["SAFESESSION_TRANSACTIONAL_VIEWS"] = True
safesession.init_app(app)


@app.post("/customers")
def create_customer():
    db.session.add(Customer())
    return "", 201
