import subprocess

from app.database import SessionLocal
from app.models import Video


def convert(video_id):
    with SessionLocal() as session:
        video = session.get(Video, video_id)
        subprocess.run(["ffmpeg", "-i", video.path], check=True)  # TXN502
        video.done = True
        session.commit()
