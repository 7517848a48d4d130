from sqlalchemy.orm import sessionmaker

session = None


def init(engine):
    global session
    Session = sessionmaker(bind=engine)
    session = Session()  # TXN302
