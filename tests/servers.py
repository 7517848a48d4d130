"""Database servers of a test's own, which it may fill, damage, stop and start again."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from sqlalchemy import URL, make_url

from .databases import (
    DatabaseMissingError,
    DriverMissingError,
    answers,
    embedded_cluster,
    free_port,
    run_as_nobody,
)

CONNECTIONS: Final = 10
"""How many connections each of the servers takes; MariaDB refuses a smaller number."""

_MARIADB_USERS: Final = """
CREATE DATABASE IF NOT EXISTS own;
CREATE USER IF NOT EXISTS root@'127.0.0.1';
GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS app@'127.0.0.1';
GRANT SELECT, INSERT, CREATE ON own.* TO app@'127.0.0.1';
"""


class OwnPostgreSQL:
    """The embedded PostgreSQL, apart from the one that the other tests may use."""

    def __init__(self, connections: int = CONNECTIONS) -> None:
        settings = (
            f"-c max_connections={connections} -c superuser_reserved_connections=1"
            f" -c max_prepared_transactions={connections}"
        )
        self._cluster = embedded_cluster(f"{settings} -c max_wal_senders=0 -c autovacuum=off")
        self.start()

    @property
    def url(self) -> URL:
        """The URL of its administrator."""
        return self._cluster.url

    @property
    def data(self) -> Path:
        """Where its files are."""
        return self._cluster.data

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._cluster.start()

    def stop(self) -> None:
        """Stop it as for a restart: its connections are ended."""
        self._cluster.control("-m", "fast", "stop")

    def remove(self) -> None:
        """Stop it for good."""
        with suppress(subprocess.CalledProcessError):
            self._cluster.control("-m", "immediate", "stop")
        self._cluster.remove()


class OwnMariaDB:
    """A MariaDB from the programs that are installed here.

    Raises:
        DatabaseMissingError: If there are none.
    """

    def __init__(self, connections: int = CONNECTIONS) -> None:
        server, install = shutil.which("mariadbd"), shutil.which("mariadb-install-db")
        if server is None or install is None:
            raise DriverMissingError(
                "A MariaDB of the test's own cannot be started: mariadbd or mariadb-install-db is not installed."
            )
        self._server = server
        self._connections = connections
        self._directory = Path(tempfile.mkdtemp(prefix="safesession-"))
        self._port = free_port()
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self._directory, nobody.pw_uid, nobody.pw_gid)
        (self._directory / "users.sql").write_text(_MARIADB_USERS)
        # fmt: off
        run_as_nobody(
            install, "--no-defaults", f"--datadir={self.data}", "--skip-test-db",
            "--auth-root-authentication-method=normal",
        )
        # fmt: on
        self.start()

    @property
    def url(self) -> URL:
        """The URL of its administrator."""
        return make_url(f"mysql+pymysql://root@127.0.0.1:{self._port}/own")

    @property
    def data(self) -> Path:
        """Where its files are."""
        return self._directory / "data"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        directory = self._directory
        # fmt: off
        command = [
            self._server, "--no-defaults", f"--datadir={self.data}", f"--port={self._port}",
            "--bind-address=127.0.0.1", f"--socket={directory / 'socket'}", "--skip-name-resolve",
            f"--pid-file={directory / 'pid'}", f"--max-connections={self._connections}",
            f"--init-file={directory / 'users.sql'}", "--innodb-buffer-pool-size=8M",
            "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0", "--user=nobody",
        ]
        # fmt: on
        log = (directory / "log").open("ab")
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        while not answers(self.url):
            self._pause()

    def _pause(self) -> None:
        """Wait a moment for the server, unless it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=0.05)
            raise DatabaseMissingError((self._directory / "log").read_text(errors="replace")[-800:])

    def stop(self) -> None:
        """Stop it as for a restart: its connections are ended."""
        self._process.terminate()
        self._process.wait(timeout=60)

    def wait(self) -> None:
        """Wait until it has ended, after it was told to."""
        self._process.wait(timeout=60)

    def remove(self) -> None:
        """Stop it for good."""
        self._process.kill()
        self._process.wait(timeout=60)
        shutil.rmtree(self._directory, ignore_errors=True)
