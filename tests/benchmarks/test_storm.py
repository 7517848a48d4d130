"""A short storm: the program, its faults and its counting work, and no invariant breaks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks.storm.bank import Account, Operation, Order, Site
from benchmarks.storm.count import Broken, count, fill
from benchmarks.storm.diary import ACKNOWLEDGED, SENT, Diary, read
from benchmarks.storm.mischief import Mischief, StormError
from benchmarks.storm.units import Safely

ROOT = Path(__file__).parents[2]
COMMAND = ("-m", "benchmarks.storm", "--seconds", "8", "--without-hand")


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"])
def test_no_invariant_breaks(database: str) -> None:
    """Eight seconds of what ``make storm`` does for ten minutes."""
    # The storm traces lines by itself, for which coverage leaves no room.
    environ = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    storm = subprocess.run(
        [sys.executable, *COMMAND, "--database", database],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert storm.returncode == 0, storm.stdout


def test_what_is_wrong_is_counted(tmp_path: Path) -> None:
    """An acknowledged unit that is not stored, one stored twice, half a transfer and a send of nothing."""
    url = sa.make_url(f"sqlite:///{tmp_path / 'storm.db'}")
    fill(url)
    diary = Diary(tmp_path / "one.diary")
    diary.note(ACKNOWLEDGED, "lost")
    diary.note(SENT, "never")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        twice = [{"key": "twice", "kind": "view"}] * 2
        connection.execute(sa.insert(Operation), twice)
        connection.execute(sa.update(Account).where(Account.id == 3).values(balance=0))
    stored, broken = count(url, read(tmp_path))
    assert stored == 1
    assert broken == Broken(
        lost=1, partial=1, doubled=1, hooks=1, connections=0, threads=0, hanging=0
    )


@pytest.mark.parametrize("kind", ["transfer", "slot", "job", "send"])
def test_an_exception_at_every_line_of_a_unit(tmp_path: Path, kind: str) -> None:
    """Whichever line of a unit fails, nothing of it is stored or sent, and the next one works."""
    url = sa.make_url(f"sqlite:///{tmp_path / 'storm.db'}")
    fill(url)
    diary = Diary(tmp_path / "one.diary")
    site = Site(url, safe=True)
    units, mischief = Safely(site, diary), Mischief(site, diary, rate=0)
    failed = 0
    while _fails_at(failed + 1, mischief, site, units, kind):
        failed += 1
    stored, broken = count(url, read(tmp_path))
    site.engine.dispose()
    assert failed >= _LINES[kind]
    assert (stored, broken.holds) == (1, True)


_LINES = {"transfer": 9, "slot": 5, "job": 7, "send": 10}


def _fails_at(line: int, mischief: Mischief, site: Site, units: Safely, kind: str) -> bool:
    """Do a unit that fails at that *line*; whether it has so many."""
    key = f"{kind}-{line}"
    try:
        with mischief.at_a_line(line, mischief.fail), site.app.app_context():
            if kind == "slot":
                units.slot(key, key)
            elif kind == "job":
                units.job(key)
            else:
                getattr(units, kind)(Order(key, giver=1, taker=2, amount=5, kind=kind))
    except StormError:
        return True
    return False
