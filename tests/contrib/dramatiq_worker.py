"""What ``python -m dramatiq`` imports in the tests: the actors on the database and the broker of a test."""

from __future__ import annotations

import os

from ..workers import worker_kit
from .dramatiq_program import PATIENCE, declare_actors, make_broker

URL, NAME, DIALECT = os.environ["SAFESESSION_TEST_DRAMATIQ"].split()

kit = worker_kit(engine_options=PATIENCE.get(DIALECT))
broker = make_broker(URL, NAME, kit)
actors = declare_actors(broker, NAME, kit)
