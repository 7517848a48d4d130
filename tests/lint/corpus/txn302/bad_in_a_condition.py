import os

from app.database import SessionLocal

if os.environ.get("WORKER"):
    session = SessionLocal()  # TXN302
else:
    session = None
