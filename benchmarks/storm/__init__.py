"""Units of work on real databases while everything fails around them, and what is counted afterwards.

Three databases at the same time, two processes of six threads on each. The units: transfers between accounts with a
ledger, slots that only one can have, jobs in phases, sends after the commit, and orders by HTTP to a real WSGI server;
with the extension for nine tenths of the time, and by hand as they are commonly written.

The faults: a backend killed, a server stopped and started again, the line cut, slow, or cut before, during or after a
COMMIT; a rival transaction that makes deadlocks, and one that makes serialization failures; SQLite's lock held by
somebody else; a pool without connections; an exception at any line of a unit, a fork in the middle of it; a thread
killed at any point, and a process by SIGKILL.

Nobody pulls the plug, so the storm's own databases do not wait for the disk: ``fsync=off`` (PostgreSQL),
``innodb-flush-log-at-trx-commit=0`` (MariaDB), ``PRAGMA synchronous=OFF`` (SQLite). Its servers are stopped in order,
and what a killed process has written the operating system keeps. What a power cut does to a database is not a subject
here.
"""
