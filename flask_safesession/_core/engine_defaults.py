"""What an engine gets where the app asked for nothing: a plug-in of ``create_engine``, which sees what it was given.

See :class:`sqlalchemy.engine.CreateEnginePlugin`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL
from sqlalchemy.dialects import plugins
from sqlalchemy.engine import CreateEnginePlugin
from sqlalchemy.pool import Pool, QueuePool

__all__ = ["PLUGIN", "EngineDefaults"]

PLUGIN = "flask_safesession"

# Of the pool, in its own words; times in seconds.
_DEFAULTS = {
    "pool_size": 10,
    "max_overflow": 20,
    "timeout": 30,
    "recycle": 3600,
    "pre_ping": True,
}


class EngineDefaults(CreateEnginePlugin):
    """Fills in what nobody set; a pool of another kind, such as that of SQLite in memory, is left as it is."""

    def update_url(self, url: URL) -> URL:
        return url  # SQLAlchemy asks, and this plug-in is not named there

    def handle_pool_kwargs(self, pool_cls: type[Pool], pool_args: dict[str, Any]) -> None:
        if issubclass(pool_cls, QueuePool):
            for name, value in _DEFAULTS.items():
                pool_args.setdefault(name, value)


plugins.register(PLUGIN, __name__, EngineDefaults.__name__)
