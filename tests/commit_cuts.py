"""Units of work whose COMMIT is cut, tried again where that is safe, and counted in the database.

``python -m tests.commit_cuts 200`` prints the counts for each driver, each cut, with and without
``SAFESESSION_VERIFY_COMMIT``; it exits with 1 where an acknowledged unit is lost or any is stored twice.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from flask_safesession import classify, session_manager

from .databases import Databases, worker_label
from .kit import Kit, Tables, make_kit
from .proxies import Cut, Proxy, proxied

DRIVERS: Final = ("postgresql-psycopg", "postgresql-psycopg2", "mariadb-pymysql")
CUTS: Final[tuple[Cut, ...]] = get_args(Cut)[:3]
TRIES: Final = 5


@dataclass(frozen=True)
class Counts:
    """What became of the units.

    Args:
        acknowledged: Units that ended without an error.
        unknown: Units of which nobody knows; they are not tried again.
        lost: Acknowledged units that are not stored.
        doubled: Units that are stored more than once.
    """

    acknowledged: int
    unknown: int
    lost: int
    doubled: int


def cut_commits(kit: Kit, proxy: Proxy, cut: Cut, times: int) -> Counts:
    """Do *times* units, the first try of each of which meets *cut*."""
    names = [f"{cut} {number}" for number in range(times)]
    ended = {name: _unit(kit, proxy, cut, name) for name in names}
    rows = Counter(_stored(kit))
    return Counts(
        acknowledged=sum(ended.values()),
        unknown=times - sum(ended.values()),
        lost=sum(ended[name] and not rows[name] for name in names),
        doubled=sum(rows[name] > 1 for name in names),
    )


def _unit(kit: Kit, proxy: Proxy, cut: Cut, name: str) -> bool:
    """Store one row, trying again as long as that is safe; return whether it was acknowledged."""
    proxy.arm(cut)
    for _ in range(TRIES):
        try:
            with kit.app.app_context(), session_manager() as session:
                session.add(kit.Parent(name=name))
        except Exception as error:
            fault = classify(error)
            if fault.category == "commit_unknown":
                return False
            if not fault.retry_safe:
                raise
        else:
            return True
    raise RuntimeError(f"{name!r} failed {TRIES} times.")


def _stored(kit: Kit) -> list[str]:
    observer = kit.database.observer
    assert observer is not None
    with observer.connect() as connection:
        return list(connection.exec_driver_sql("SELECT name FROM parent").scalars())


def _all(times: int, get: Callable[[str, bool], Iterator[tuple[Kit, Proxy]]]) -> bool:
    fine = True
    print("driver                cut      verify  acknowledged  unknown  lost  doubled")
    for driver in DRIVERS:
        for verify in (False, True):
            for kit, proxy in get(driver, verify):
                for cut in CUTS:
                    counts = cut_commits(kit, proxy, cut, times)
                    fine = fine and not (counts.lost or counts.doubled)
                    print(
                        f"{driver:20}  {cut:7}  {verify!s:6}  {counts.acknowledged:12}"
                        f"  {counts.unknown:7}  {counts.lost:4}  {counts.doubled:7}",
                        flush=True,
                    )
    return fine


def main(times: int) -> int:
    """Do *times* units for each driver and each cut."""
    tables = Tables()
    with tempfile.TemporaryDirectory() as directory:
        databases = Databases(worker_label(), Path(directory))

        def get(driver: str, verify: bool) -> Iterator[tuple[Kit, Proxy]]:
            database = databases.get(driver)
            tables.prepare(database)
            with proxied(database) as (via, proxy):
                kit = make_kit(via, options={"verify_commit": verify})
                yield kit, proxy
                kit.dispose()

        try:
            return int(not _all(times, get))
        finally:
            databases.close()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
