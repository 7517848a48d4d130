from sqlalchemy import create_engine
from sqlalchemy.orm import scoped_session, sessionmaker

Session = scoped_session(sessionmaker(create_engine("sqlite://")))
session = Session()  # TXN302
