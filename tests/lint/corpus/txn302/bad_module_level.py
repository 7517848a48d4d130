from app.database import SessionLocal

session = SessionLocal()  # TXN302


def ping():
    return session.execute("SELECT 1")
