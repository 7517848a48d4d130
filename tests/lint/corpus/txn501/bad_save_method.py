from app.extensions import db


class Descriptor(db.Model):
    __tablename__ = "descriptor"

    def save(self):
        db.session.add(self)
        db.session.commit()


def clear():
    for descriptor in Descriptor.query.all():
        descriptor.departments = []
        descriptor.save()  # TXN501
