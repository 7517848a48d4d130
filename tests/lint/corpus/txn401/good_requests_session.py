import requests
from concurrent.futures import ThreadPoolExecutor
from sqlalchemy import select

from app.api import send


def perf(instances):
    session = requests.Session()
    with ThreadPoolExecutor() as executor:
        return [executor.submit(send, session=session, instance=each) for each in instances], select(1)
