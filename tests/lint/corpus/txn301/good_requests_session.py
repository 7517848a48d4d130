from requests import Session


def fetch(url):
    session = Session()
    session.headers["Accept"] = "application/json"
    return session.get(url).json()
