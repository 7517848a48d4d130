import logging

import requests


def ping(url):
    try:
        requests.get(url).raise_for_status()
    except Exception:
        logging.exception("ping")
