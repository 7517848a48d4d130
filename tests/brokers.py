"""Redis and RabbitMQ: where they are found, and why they are missing."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from .databases import DatabaseMissingError

__all__ = ["RABBITMQ", "REDIS", "Broker", "find_broker"]


@dataclass(frozen=True)
class Broker:
    """A message broker that the tests look for.

    Args:
        name: Its name in ``SAFESESSION_TEST_REQUIRE``.
        variable: The environment variable with its URL.
        default: The URL that is tried where the variable is not set.
    """

    name: str
    variable: str
    default: str


REDIS: Final = Broker("redis", "SAFESESSION_TEST_REDIS", "redis://127.0.0.1:6379/0")
RABBITMQ: Final = Broker(
    "rabbitmq", "SAFESESSION_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672/"
)


def find_broker(broker: Broker, environ: Mapping[str, str] = os.environ) -> str:
    """Return the URL of a broker that answers.

    Raises:
        DatabaseMissingError: If none answers.
    """
    url = environ.get(broker.variable) or broker.default
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=3).close()
    except OSError as error:
        raise DatabaseMissingError(
            f"no {broker.name} answers at {parts.hostname}:{parts.port} ({error}); set {broker.variable}"
        ) from error
    return url
