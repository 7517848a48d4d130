from threading import Thread

from app.extensions import db


class User(db.Model):
    __tablename__ = "user"

    def welcome(self):
        print(self.email)


def register(email):
    user = User(email=email)
    db.session.add(user)
    db.session.commit()
    Thread(target=user.welcome).start()  # TXN401
