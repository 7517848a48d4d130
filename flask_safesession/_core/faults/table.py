"""The one table of what database errors mean: each category with its rules, and the codes of the three databases.

``docs/reference/faults.rst`` is made from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exc
from sqlalchemy.orm import exc as orm_exc

__all__ = ["CATEGORIES", "Category", "Fault", "by_code", "category", "own_category"]


@dataclass(frozen=True)
class Fault:
    """A classified error.

    Attributes:
        category: What kind of fault it is, for example ``"unique"``; :doc:`/reference/faults` lists them.
        code: The driver's own code: SQLSTATE, MariaDB's number or SQLite's name; None where there is none.
        transient: Whether a new try may succeed.
        retry_safe: Whether a new try of the whole transaction is right.
        http_status: The status for a client whose request met it.
        constraint: The name of the constraint, where the driver tells.
        table: The name of the table, where the driver tells.
        column: The name of the column, where the driver tells.
    """

    category: str
    code: str | None = None
    transient: bool = False
    retry_safe: bool = False
    http_status: int = 500
    constraint: str | None = None
    table: str | None = None
    column: str | None = None


@dataclass(frozen=True)
class Category:
    """One kind of fault.

    Attributes:
        name: What ``Fault.category`` is.
        meaning: What happened, in a sentence.
        transient: Whether a new try may succeed.
        retry_safe: Whether a new try of the whole transaction is right.
        http_status: The status for a client whose request met it.
        postgresql: SQLSTATEs (PostgreSQL, appendix A "Error Codes"); one of two characters stands for all codes of its
            class that are in no other category.
        mariadb: Numbers of MariaDB and MySQL ("MariaDB Error Codes"); 2000 to 2999 and 0 are the client library's.
        sqlite: Names of SQLite ("Result and Error Codes"); one stands for all that begin with it and are in no other
            category.
        sqlalchemy: SQLAlchemy's own errors.
    """

    name: str
    meaning: str
    transient: bool = False
    retry_safe: bool = False
    http_status: int = 500
    postgresql: tuple[str, ...] = ()
    mariadb: tuple[int, ...] = ()
    sqlite: tuple[str, ...] = ()
    sqlalchemy: tuple[type[BaseException], ...] = ()


def _transient(name: str, meaning: str, **codes: Any) -> Category:
    return Category(name, meaning, transient=True, retry_safe=True, http_status=503, **codes)


CATEGORIES: tuple[Category, ...] = (
    Category(
        "unique",
        "A row with these values is there already.",
        http_status=409,
        postgresql=("23505",),
        mariadb=(1022, 1062, 1169, 1557, 1586, 1761, 1762),
        sqlite=(
            "SQLITE_CONSTRAINT_UNIQUE",
            "SQLITE_CONSTRAINT_PRIMARYKEY",
            "SQLITE_CONSTRAINT_ROWID",
        ),
    ),
    Category(
        "foreign_key",
        "The row is still referred to (409), or refers to one that is missing (422 where that can be told).",
        http_status=409,
        postgresql=("23503", "23001"),
        mariadb=(1216, 1217, 1451, 1452),
        sqlite=("SQLITE_CONSTRAINT_FOREIGNKEY",),
    ),
    Category(
        "check",
        "A value breaks a rule of its table or view.",
        http_status=422,
        postgresql=("23514", "23", "44"),
        mariadb=(1369, 3819, 4025),
        sqlite=("SQLITE_CONSTRAINT_CHECK",),
    ),
    Category(
        "not_null",
        "A value is missing.",
        http_status=422,
        postgresql=("23502",),
        mariadb=(1048, 1263, 1364),
        sqlite=("SQLITE_CONSTRAINT_NOTNULL",),
    ),
    Category(
        "exclusion",
        "The row conflicts with another one, such as a range that overlaps.",
        http_status=409,
        postgresql=("23P01",),
    ),
    Category(
        "data",
        "A value is too long, out of range or not valid.",
        http_status=422,
        postgresql=("22", "54000"),
        mariadb=(
            *(1118, 1153, 1162, 1264, 1265, 1292, 1300, 1301, 1365, 1366, 1367, 1406, 1411, 1416),
            *(1441, 1525, 1526, 1690, 1916, 1918, 1977, 2020, 3140, 3141, 3854),
        ),
        sqlite=("SQLITE_TOOBIG", "SQLITE_MISMATCH", "SQLITE_CONSTRAINT_DATATYPE"),
    ),
    _transient(
        "serialization_failure",
        "Another transaction changed what this one has read.",
        postgresql=("40001", "40000", "72000"),
        mariadb=(1020, 3101),
        sqlite=("SQLITE_BUSY_SNAPSHOT",),
    ),
    _transient(
        "deadlock",
        "Two transactions waited for each other, and the database ended this one.",
        postgresql=("40P01",),
        mariadb=(1213, 1614),
    ),
    _transient(
        "lock_timeout",
        "Another transaction held a lock for too long.",
        postgresql=("55P03",),
        mariadb=(1205, 1613, 3572),
        sqlite=("SQLITE_BUSY", "SQLITE_LOCKED"),
    ),
    Category(
        "statement_timeout",
        "The statement took longer than its limit. PostgreSQL's 57014 is this where the scope has set one.",
        retry_safe=True,
        postgresql=("25P04",),
        mariadb=(1969, 3024),
    ),
    Category(
        "cancelled",
        "Somebody cancelled the statement.",
        retry_safe=True,
        postgresql=("57014",),
        mariadb=(1317,),
        sqlite=("SQLITE_INTERRUPT",),
    ),
    _transient(
        "connection_lost",
        "The connection broke, or the server ended it, before COMMIT was sent.",
        postgresql=("08", "25P03", "57P05"),
        mariadb=(
            *(0, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1835, 1927),
            *(2006, 2013, 2014, 2027, 2045, 2048, 2055, 4031),
        ),
        sqlalchemy=(exc.DisconnectionError,),
    ),
    _transient(
        "connection_refused",
        "No connection could be made: nobody listens, or the server is not ready.",
        postgresql=("08001", "08004", "57P03"),
        mariadb=(1042, 1043, 1129, 2001, 2002, 2003, 2004, 2005, 2009, 2012, 2026),
        sqlite=("SQLITE_CANTOPEN",),
    ),
    _transient(
        "too_many_connections",
        "The server has as many connections as it takes.",
        postgresql=("53300",),
        mariadb=(1040, 1203, 1226),
    ),
    _transient(
        "server_shutdown",
        "The server, or an administrator on it, ended the connection.",
        postgresql=("57P01", "57P02"),
        mariadb=(1053, 1077, 1078, 1079),
    ),
    _transient(
        "read_only",
        "The transaction or the server takes no writes.",
        postgresql=("25006",),
        mariadb=(1036, 1290, 1792, 1836, 1874),
        sqlite=("SQLITE_READONLY",),
    ),
    Category(
        "transaction_aborted",
        "An earlier error has ended the transaction. Where that error is known, a new try is what it is for that one.",
        postgresql=("25P02",),
        sqlalchemy=(exc.PendingRollbackError,),
    ),
    Category(
        "disk_full",
        "The disk or a quota is full, or the disk cannot be written.",
        postgresql=("53100", "58030"),
        mariadb=(3, 1021, 1026, 1114),
        sqlite=("SQLITE_FULL", "SQLITE_IOERR"),
    ),
    Category(
        "corrupt",
        "The stored data is damaged: somebody has to look.",
        postgresql=("XX001", "XX002", "58P01"),
        mariadb=(126, 127, 130, 132, 144, 145, 1033, 1034, 1035, 1194, 1195, 1712, 1877, 1932),
        sqlite=(
            "SQLITE_CORRUPT",
            "SQLITE_NOTADB",
            "SQLITE_IOERR_READ",
            "SQLITE_IOERR_SHORT_READ",
            "SQLITE_IOERR_CORRUPTFS",
            "SQLITE_IOERR_DATA",
        ),
    ),
    Category(
        "permission",
        "The database user may not do that, or is not let in.",
        postgresql=("42501", "28"),
        mariadb=(
            *(1044, 1045, 1130, 1131, 1132, 1141, 1142, 1143, 1147, 1227, 1370, 1396, 1410, 1419),
            *(1449, 1524, 1698, 1820, 1862, 4151),
        ),
        sqlite=("SQLITE_PERM", "SQLITE_AUTH"),
    ),
    Category(
        "programming",
        "The statement, or the way SQLAlchemy is used, is wrong.",
        postgresql=(
            *("0A", "0L", "21", "24", "25", "26", "2D", "34", "3B", "3D", "3F", "42", "54", "55"),
        ),
        mariadb=(
            *(1007, 1008, 1046, 1049, 1050, 1051, 1052, 1054, 1055, 1056, 1058, 1059, 1060, 1061),
            *(1063, 1064, 1065, 1066, 1068, 1071, 1072, 1075, 1091, 1093, 1095, 1099, 1100, 1101),
            *(1103, 1104, 1106, 1107, 1109, 1110, 1111, 1115, 1120, 1128, 1136, 1138, 1140, 1146),
            *(1149, 1166, 1172, 1176, 1191, 1193, 1210, 1221, 1222, 1231, 1232, 1235, 1238, 1241),
            *(1242, 1243, 1247, 1248, 1250, 1267, 1270, 1271, 1273, 1288, 1304, 1305, 1318, 1327),
            *(1347, 1348, 1356, 1382, 1400, 1414, 1415, 1436, 1442, 1553, 1568, 1582, 1583, 1630),
            *(1648, 1901, 1906, 1950, 3105, 4078),
        ),
        sqlite=("SQLITE_ERROR", "SQLITE_MISUSE", "SQLITE_RANGE", "SQLITE_SCHEMA"),
        sqlalchemy=(
            exc.ArgumentError,
            exc.CircularDependencyError,
            exc.CompileError,
            exc.IdentifierError,
            exc.InvalidRequestError,
            orm_exc.DetachedInstanceError,
            orm_exc.FlushError,
            orm_exc.ObjectDereferencedError,
        ),
    ),
    _transient(
        "pool_timeout",
        "The connection pool had none to give within its time limit.",
        sqlalchemy=(exc.TimeoutError,),
    ),
    Category(
        "commit_unknown",
        "The connection broke during COMMIT, or while a statement of a connection in AUTOCOMMIT was under way: "
        "nobody knows whether it is stored.",
        postgresql=("08007", "40003"),
    ),
    _transient(
        "stale_data",
        "A row was changed or deleted since it was loaded.",
        sqlalchemy=(orm_exc.StaleDataError, orm_exc.ObjectDeletedError),
    ),
    Category("unknown", "No database error, or one that is in no other category."),
)

_BY_NAME: Mapping[str, Category] = {each.name: each for each in CATEGORIES}
_BY_CLASS: Mapping[type[BaseException], str] = {
    kind: each.name for each in CATEGORIES for kind in each.sqlalchemy
}


def category(name: str) -> Category:
    """The row of the table."""
    return _BY_NAME[name]


def own_category(kind: type[BaseException]) -> str | None:
    """The category of SQLAlchemy's own class *kind*; the nearest base that is in the table counts."""
    return next((_BY_CLASS[each] for each in kind.__mro__ if each in _BY_CLASS), None)


def by_code(dialect: str) -> Mapping[str, str]:
    """From each code of *dialect* to its category."""
    return _BY_CODE[dialect]


def _inverted(dialect: str) -> dict[str, str]:
    rows: Iterable[tuple[Any, str]] = (
        (code, each.name) for each in CATEGORIES for code in getattr(each, dialect)
    )
    return {str(code): name for code, name in rows}


_BY_CODE = {dialect: _inverted(dialect) for dialect in ("postgresql", "mariadb", "sqlite")}
