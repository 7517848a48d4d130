from app.extensions import db


def load(reader, schema):
    errors = []
    for line in reader:
        response = schema.load(line)
        if response.errors:
            errors.append(response.errors)
        else:
            db.session.add(response.data)
            db.session.commit()  # TXN501
    return errors
