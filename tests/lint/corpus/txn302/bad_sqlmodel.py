from sqlmodel import Session, create_engine

engine = create_engine("sqlite://")
db = Session(engine)  # TXN302
