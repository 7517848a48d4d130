"""A shell gets the session in its namespace, and has it until the process ends."""

import code

from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker


def shell(url):
    session = sessionmaker(create_engine(url))()
    names = {"session": session, "url": url}
    code.interact(local=names)
