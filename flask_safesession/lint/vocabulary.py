"""The names that SQLAlchemy gives to what the rules look for."""

from __future__ import annotations

import re

# --- sessions

SESSION_CLASSES = frozenset(
    {
        "sqlalchemy.orm.Session",
        "sqlalchemy.orm.session.Session",
        "sqlmodel.Session",
        "sqlmodel.orm.session.Session",
        "flask_sqlalchemy.session.Session",
        "flask_sqlalchemy.SignallingSession",
    }
)
ASYNC_SESSION_CLASSES = frozenset(
    {
        "sqlalchemy.ext.asyncio.AsyncSession",
        "sqlalchemy.ext.asyncio.session.AsyncSession",
        "sqlmodel.ext.asyncio.session.AsyncSession",
    }
)
FACTORIES = frozenset(
    {
        "sqlalchemy.orm.sessionmaker",
        "sqlalchemy.orm.session.sessionmaker",
        "sqlalchemy.ext.asyncio.async_sessionmaker",
        "sqlalchemy.ext.asyncio.session.async_sessionmaker",
    }
)
REGISTRIES = frozenset(
    {
        "sqlalchemy.orm.scoped_session",
        "sqlalchemy.orm.scoping.scoped_session",
        "sqlalchemy.ext.asyncio.async_scoped_session",
        "sqlalchemy.ext.asyncio.scoping.async_scoped_session",
    }
)
DATABASES = frozenset(
    {
        "flask_sqlalchemy.SQLAlchemy",
        "flask_sqlalchemy.extension.SQLAlchemy",
        "flask_sqlalchemy_lite.SQLAlchemy",
        "flask_appbuilder.SQLA",
        "flask_appbuilder.models.sqla.SQLA",
        "flask_sqlalchemy_session.flask_scoped_session",
        "quart_sqlalchemy.SQLAlchemyConfig",
    }
)
# They return the session that somebody else put an object into.
OBJECT_SESSIONS = frozenset(
    {
        "sqlalchemy.orm.object_session",
        "sqlalchemy.orm.session.object_session",
        "sqlalchemy.orm.Session.object_session",
        "sqlalchemy.ext.asyncio.async_object_session",
    }
)
MODEL_BASES = frozenset(
    {
        "sqlalchemy.orm.DeclarativeBase",
        "sqlalchemy.orm.DeclarativeBaseNoMeta",
        "sqlmodel.SQLModel",
        "flask_appbuilder.Model",
        "flask_appbuilder.models.sqla.Model",
    }
)
MODEL_BASE_MAKERS = frozenset(
    {
        "sqlalchemy.ext.declarative.declarative_base",
        "sqlalchemy.orm.declarative_base",
        "sqlalchemy.ext.automap.automap_base",
    }
)
# Packages that have sessions of their own, which have nothing to do with a database.
OTHER_SESSIONS = frozenset(
    {
        "aiobotocore",
        "aiohttp",
        "authlib",
        "boto",
        "boto3",
        "botocore",
        "cassandra",
        "cloudscraper",
        "curl_cffi",
        "django",
        "flask",
        "google",
        "httpx",
        "keystoneauth1",
        "mcp",
        "motor",
        "neo4j",
        "odoo",
        "onnxruntime",
        "pdpyras",
        "pymongo",
        "pyspark",
        "quart",
        "requests",
        "requests_cache",
        "requests_futures",
        "requests_html",
        "requests_oauthlib",
        "requests_toolbelt",
        "snowflake",
        "starlette",
        "tensorflow",
        "tls_client",
        "werkzeug",
    }
)
SESSION_NAME = re.compile(r"(?:^|_)(?:session|sess)$", re.IGNORECASE)
DATABASE_NAME = re.compile(r"(?:^|_)(?:db|database|sqla|sqlalchemy)$", re.IGNORECASE)
FACTORY_NAME = re.compile(
    r"^_?(?:[A-Za-z0-9]*Session(?:Local|Maker|Factory)|SessionLocal\w*|Local_?Session|DB_?Session|"
    r"\w*session_?(?:maker|factory|local))$"
)
GETTER_NAME = re.compile(r"^(?:get|create|make|new|open)_(?:\w+_)?(?:db_?)?session$")

# Methods that only an SQLAlchemy session has, and those that many things have.
TELLING_METHODS = frozenset(
    {
        "add_all",
        "begin_nested",
        "bulk_insert_mappings",
        "bulk_save_objects",
        "bulk_update_mappings",
        "expire_all",
        "expunge",
        "expunge_all",
        "flush",
        "merge",
        "no_autoflush",
        "query",
        "refresh",
        "rollback",
        "scalar",
        "scalars",
    }
)
VAGUE_METHODS = frozenset({"add", "begin", "close", "commit", "delete", "execute", "get"})

# --- what a session's methods do

READS = frozenset(
    {
        "query",
        "execute",
        "scalar",
        "scalars",
        "get",
        "get_one",
        "refresh",
        "exec",
        "stream",
        "stream_scalars",
        "connection",
    }
)
WRITES = frozenset(
    {
        "add",
        "add_all",
        "delete",
        "delete_all",
        "merge",
        "merge_all",
        "bulk_save_objects",
        "bulk_insert_mappings",
        "bulk_update_mappings",
    }
)
# Those that do not wait for a flush.
SENT_WRITES = frozenset(
    {"merge", "bulk_save_objects", "bulk_insert_mappings", "bulk_update_mappings"}
)
CLOSES = frozenset({"close", "aclose", "remove", "close_all", "invalidate", "reset"})
QUERY_WRITES = frozenset({"delete", "update"})
QUERY_ENDS = frozenset(
    {
        "all",
        "first",
        "one",
        "one_or_none",
        "scalar",
        "count",
        "get",
        "exists",
        "paginate",
        "first_or_404",
        "get_or_404",
        "one_or_404",
    }
)

# What Flask-SQLAlchemy's object reads by itself.
DATABASE_READS = frozenset({"get_or_404", "first_or_404", "one_or_404", "paginate"})

# --- exceptions

DATABASE_ERRORS = frozenset(
    {
        "SQLAlchemyError",
        "DBAPIError",
        "IntegrityError",
        "OperationalError",
        "ProgrammingError",
        "DatabaseError",
        "DataError",
        "InternalError",
        "InterfaceError",
        "StatementError",
        "InvalidRequestError",
        "PendingRollbackError",
        "FlushError",
        "StaleDataError",
        "UniqueViolation",
        "ForeignKeyViolation",
        "TimeoutError",
    }
)
ALL_ERRORS = frozenset({"Exception", "BaseException"})
# With these a handler leaves none of the database's errors to the handlers below it.
WIDE_DATABASE_ERRORS = frozenset({"DBAPIError", "SQLAlchemyError", "Exception", "BaseException"})

# Names that other packages give to other errors as well; they count where they come from a database package.
AMBIGUOUS_ERRORS = frozenset(
    {
        "DataError",
        "DatabaseError",
        "InternalError",
        "InterfaceError",
        "TimeoutError",
        "OperationalError",
        "ProgrammingError",
    }
)
DATABASE_PACKAGES = frozenset(
    {
        "sqlalchemy",
        "sqlite3",
        "psycopg",
        "psycopg2",
        "asyncpg",
        "pymysql",
        "MySQLdb",
        "pymssql",
        "oracledb",
        "sqlmodel",
        "aiosqlite",
        "mysql",
        "flask_sqlalchemy",
    }
)
