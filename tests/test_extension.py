"""`SafeSession`: what it takes and refuses, and its methods, which are bound to its app."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, current_app
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

import flask_safesession
from flask_safesession import (
    AppContextManager,
    SafeSession,
    add_all_or_abort,
    classify,
    current_scope,
    errors,
    on_commit,
    on_rollback,
    on_unknown,
    requires_transaction,
    safe_commit,
    session_manager,
    transactional,
)
from flask_safesession._config import PREFIX, Settings
from flask_safesession.errors import NoAppError, NoTransactionError

from .kit import Kit, MakeKit


def _enter() -> None:
    session_manager().__enter__()


# --- bad input


@pytest.mark.parametrize(
    "wrong",
    [42, "sqlite://", object(), create_engine("sqlite://"), Session(), Session, {}],
    ids=["number", "url", "object", "engine", "session", "class", "dict"],
)
def test_a_db_that_is_none(wrong: Any) -> None:
    """It is a TypeError that says what to give, and the app is left as it was."""
    app = Flask("app")
    before = app.wsgi_app
    with pytest.raises(TypeError, match=r"^'db' is .*, which gives no sessions. Give Flask-SQLA"):
        SafeSession(app, wrong)
    assert (app.extensions, app.teardown_appcontext_funcs) == ({}, [])
    assert app.wsgi_app == before


@pytest.mark.parametrize(
    "wrong", ["app", Flask, object(), sessionmaker()], ids=["name", "class", "object", "factory"]
)
def test_an_app_that_is_none(wrong: Any) -> None:
    """What is no Flask app is a TypeError, in both ways of giving it."""
    with pytest.raises(TypeError, match=r"^'app' is .* Give the Flask application first"):
        SafeSession(wrong)
    with pytest.raises(TypeError, match=r"^'app' is "):
        SafeSession().init_app(wrong)


def test_current_app_is_an_app(make_kit: MakeKit) -> None:
    """The proxy stands for the app behind it."""
    kit = make_kit(safe=False)
    with kit.app.app_context():
        safe = SafeSession(current_app)
    with kit.app.app_context(), safe.session_manager() as session:
        session.add(kit.Item(name="a"))
    assert kit.names() == ["a"]


def test_init_app_twice(sqlite_kit: Kit) -> None:
    """A second SafeSession for one app is refused, and the first goes on."""
    for init_app in (SafeSession().init_app, sqlite_kit.safe.init_app, SafeSession):
        with pytest.raises(RuntimeError, match=f"'{sqlite_kit.app.name}' has a SafeSession alr"):
            init_app(sqlite_kit.app)
    with sqlite_kit.app.app_context(), session_manager():
        assert sqlite_kit.app.extensions["safesession"] is sqlite_kit.safe


USES: dict[str, Callable[[], object]] = {
    "session_manager": _enter,
    "transactional": lambda: transactional(lambda: None)(),
    "on_commit": lambda: on_commit(print),
    "on_rollback": lambda: on_rollback(print),
    "on_unknown": lambda: on_unknown(print),
    "safe_commit": safe_commit,
    "add_all_or_abort": lambda: add_all_or_abort([]),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_outside_of_an_app_context(use: Callable[[], object]) -> None:
    """Each function that needs a context says how to open one, and where it was called."""
    with pytest.raises(NoAppError, match="outside of any application context") as caught:
        use()
    assert "tests/test_extension.py" in str(caught.value)
    assert "'with app.app_context():'" in str(caught.value)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_in_an_app_without_a_database(use: Callable[[], object]) -> None:
    """An app without a database gets a message that names ``db.init_app(app)``."""
    app = Flask("bare")
    SafeSession(app)
    with app.app_context(), pytest.raises(NoAppError, match=r"'bare' has no database.*init_app"):
        use()


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_in_an_app_without_the_extension(use: Callable[[], object]) -> None:
    """An app without SafeSession gets a message that names it."""
    with (
        Flask("bare").app_context(),
        pytest.raises(NoAppError, match=r"'bare' has no SafeSession. Call 'SafeSession\(app\)'"),
    ):
        use()


def test_what_works_without_an_app_context() -> None:
    """Asking for the scope answers None, and errors can be classified anywhere."""
    assert current_scope() is None
    assert classify(ValueError()).category == "unknown"


def test_a_service_outside_of_an_app_context() -> None:
    """A service says that it needs a transaction, which is what its caller can give."""
    with pytest.raises(NoTransactionError, match="needs a transaction"):
        requires_transaction(lambda: None)()
    with pytest.raises(NoAppError):
        AppContextManager().__enter__()


# --- settings

CLOSE = [
    ("ownershp", "SAFESESSION_OWNERSHIP"),
    ("stale_contexts", "SAFESESSION_STALE_CONTEXT"),
    ("two_phase", "SAFESESSION_TWOPHASE"),
    ("hook_error", "SAFESESSION_HOOK_ERRORS"),
]


@pytest.mark.parametrize(("name", "meant"), CLOSE)
def test_an_unknown_option(name: str, meant: str) -> None:
    """A misspelt option is found at construction, with the closest name."""
    options: dict[str, Any] = {name: "raise"}
    with pytest.raises(ValueError, match=f"is not a setting .* Did you mean '{meant}'"):
        SafeSession(**options)


@pytest.mark.parametrize(("name", "meant"), CLOSE)
def test_an_unknown_setting(name: str, meant: str) -> None:
    """A misspelt key of ``app.config`` is found by ``init_app``, and nothing is wired."""
    app = Flask("app")
    app.config[PREFIX + name.upper()] = "raise"
    with pytest.raises(ValueError, match=f"'{PREFIX}{name.upper()}' is not .* '{meant}'"):
        SafeSession(app)
    assert app.extensions == {}


def test_a_name_that_is_close_to_none() -> None:
    """Where no name is close all are listed."""
    with pytest.raises(ValueError, match=r"'SAFESESSION_HOOK_ERRORS', .*'SAFESESSION_UNCOMMITTED'"):
        SafeSession(zzz=1)


WRONG_VALUES: list[tuple[str, Any, type[Exception]]] = [
    ("ownership", "rise", ValueError),
    ("ownership", True, ValueError),
    ("uncommitted", "defer", ValueError),
    ("stale_context", None, ValueError),
    ("stale_context", ["raise"], ValueError),
    ("hook_errors", "warn", ValueError),
    ("twophase", "yes", TypeError),
    ("transactional_views", 1, TypeError),
    ("celery_transactional", 1, TypeError),
    ("ownership_modules", "flask_security", TypeError),
    ("http_errors", "some", ValueError),
    ("circuit_seconds", -1, ValueError),
    ("held_seconds", 0, ValueError),
    ("circuit_seconds", True, TypeError),
    ("commit_timeout", -1, ValueError),
    ("verify_commit", 1, TypeError),
    ("verify_seconds", "10", TypeError),
]


@pytest.mark.parametrize(("name", "value", "kind"), WRONG_VALUES)
def test_a_wrong_value(name: str, value: Any, kind: type[Exception]) -> None:
    """A value that is not allowed is refused as option and as setting, with what is allowed."""
    with pytest.raises(kind, match=f"^'{PREFIX}{name.upper()}' is .* Set it to "):
        SafeSession(**{name: value})
    app = Flask("app")
    app.config[PREFIX + name.upper()] = value
    with pytest.raises(kind, match=f"^'{PREFIX}{name.upper()}' is "):
        SafeSession(app)


def test_a_wrong_mode_of_a_package() -> None:
    """The message names the setting as one writes it, with the package and the modes."""
    modes = {"flask_login": "warn", "flask_security": "ignore"}
    name = re.escape("'SAFESESSION_OWNERSHIP_MODULES['flask_security']'")
    with pytest.raises(ValueError, match=f"^{name} is 'ignore'. Set it to one of 'raise', 'warn'"):
        SafeSession(ownership_modules=modes)


RIGHT_VALUES: list[tuple[str, Any]] = [
    ("ownership", "defer"),
    ("ownership_modules", {"flask_security": "defer"}),
    ("uncommitted", "off"),
    ("stale_context", "warn"),
    ("hook_errors", "log"),
    ("hook_errors", None),
    ("twophase", True),
    ("transactional_views", True),
    ("celery_transactional", True),
    ("http_errors", "all"),
    ("circuit_seconds", 0.5),
    ("async_engines", {None: "sqlite+aiosqlite:///a.db", "second": {"pool_size": 2}}),
    ("async_portal", True),
    ("commit_timeout", 5),
    ("verify_commit", True),
    ("verify_seconds", 2.5),
]


@pytest.mark.parametrize(("name", "value"), RIGHT_VALUES)
def test_a_right_value(name: str, value: Any) -> None:
    """Each setting is read from both places into one frozen record."""
    by_option = Settings.load({}, {name: value})
    by_config = Settings.load({PREFIX + name.upper(): value, "OTHER": 1}, {})
    assert getattr(by_option, name) == getattr(by_config, name) == value
    with pytest.raises(AttributeError):
        setattr(by_option, name, value)


def test_app_config_wins(make_kit: MakeKit) -> None:
    """The configuration of the app is stronger than the options of the extension."""
    kit = make_kit(
        config={"SAFESESSION_OWNERSHIP": "defer"},
        options={"ownership": "raise", "uncommitted": "off"},
    )
    with kit.app.app_context(), session_manager() as session:
        session.add(kit.Item(name="a"))
        kit.db.session.commit()
        assert kit.names() == []
    assert kit.names() == ["a"]


def test_one_extension_with_options_for_several_apps(make_kit: MakeKit) -> None:
    """The options are the defaults of each app; each app's configuration is its own."""
    kits = [make_kit(safe=False) for _ in range(2)]
    kits[1].app.config["SAFESESSION_OWNERSHIP"] = "raise"
    safe = SafeSession(ownership="defer")
    for kit in kits:
        safe.init_app(kit.app)
    with kits[0].app.app_context(), safe.session_manager():
        kits[0].db.session.commit()
    with (
        kits[1].app.app_context(),
        pytest.raises(errors.TransactionOwnershipError),
        safe.session_manager(),
    ):
        kits[1].db.session.commit()


def test_a_db_for_one_app_only(make_kit: MakeKit) -> None:
    """``init_app(app, db)`` takes the sessions for this app from *db*."""
    kit = make_kit(safe=False, flavour="sessionmaker")
    safe = SafeSession()
    safe.init_app(kit.app, kit.db)
    with kit.app.app_context(), safe.session_manager() as session:
        session.add(kit.Item(name="a"))
    assert kit.names() == ["a"]


def test_a_db_for_all_apps(make_kit: MakeKit) -> None:
    """``SafeSession(db=db)`` gives its sessions to each app."""
    kit = make_kit(safe=False, flavour="sessionmaker")
    safe = SafeSession(db=kit.db)
    apps = [Flask("one"), Flask("two")]
    for app in apps:
        safe.init_app(app)
        with app.app_context(), safe.session_manager() as session:
            session.add(kit.Item(name=app.name))
    assert kit.names() == ["one", "two"]


def test_an_app_that_is_gone() -> None:
    """What outlives its app says so."""
    app = Flask("short-lived")
    safe = SafeSession()
    safe.init_app(app)
    state = app.extensions["safesession.state"]
    del app
    gc.collect()
    with pytest.raises(NoAppError, match="The app of this session is gone"):
        _ = state.app


# --- the methods


def test_the_methods_are_the_functions(sqlite_kit: Kit) -> None:
    """Each method does for its app what the function of the same name does."""
    kit, safe, calls = sqlite_kit, sqlite_kit.safe, list[str]()

    @safe.requires_transaction
    def service() -> None:
        scope = safe.current_scope()
        assert scope is current_scope() is not None
        safe.on_commit(calls.append, "committed")
        safe.on_rollback(calls.append, "rolled back")
        safe.on_unknown(calls.append, "unknown")
        safe.add_all_or_abort([kit.Item(name="a")])

    with kit.app.app_context():
        safe.transactional(service)()
        safe.transactional(name="again")(safe.safe_commit)()
    assert (kit.names(), calls) == (["a"], ["committed"])


def test_the_saving_methods(sqlite_kit: Kit) -> None:
    """``safe_commit`` and ``add_all_or_abort`` work outside of scopes too."""
    kit = sqlite_kit
    with kit.app.app_context(), kit.safe.session_manager(propagation="supports") as session:
        session.add(kit.Item(name="a"))
        kit.safe.safe_commit()
        assert kit.safe.add_all_or_abort([]) == []
    assert (kit.names(), kit.safe.classify(ValueError()).category) == (["a"], "unknown")


def test_the_methods_decorate(sqlite_kit: Kit) -> None:
    """``transactional`` and ``non_transactional`` return functions of the same name."""

    def view() -> str:
        return "ok"

    decorated = sqlite_kit.safe.transactional(commit_on=ValueError)(view)
    assert (decorated.__name__, sqlite_kit.safe.non_transactional(view)) == ("view", view)


METHODS: dict[str, Callable[[SafeSession], object]] = {
    "session_manager": lambda safe: safe.session_manager().__enter__(),
    "transactional": lambda safe: safe.transactional(lambda: None)(),
    "on_commit": lambda safe: safe.on_commit(print),
    "on_rollback": lambda safe: safe.on_rollback(print),
    "on_unknown": lambda safe: safe.on_unknown(print),
    "safe_commit": lambda safe: safe.safe_commit(),
    "add_all_or_abort": lambda safe: safe.add_all_or_abort([]),
}


@pytest.mark.parametrize("use", METHODS.values(), ids=METHODS)
def test_a_method_in_another_app(make_kit: MakeKit, use: Callable[[SafeSession], object]) -> None:
    """A method refuses the context of another app, and names both apps."""
    mine, other = make_kit(), make_kit()
    with other.app.app_context(), pytest.raises(NoAppError) as caught:
        use(mine.safe)
    assert f"the SafeSession of '{mine.app.name}'" in str(caught.value)
    assert f"the current app is '{other.app.name}'" in str(caught.value)


@pytest.mark.parametrize("use", METHODS.values(), ids=METHODS)
def test_a_method_outside_of_contexts(
    sqlite_kit: Kit, use: Callable[[SafeSession], object]
) -> None:
    """Without any context it is the error of the function."""
    with pytest.raises(NoAppError, match="outside of any application context"):
        use(sqlite_kit.safe)


def test_an_extension_that_serves_another_app(make_kit: MakeKit) -> None:
    """An extension without an app of its own serves those of its ``init_app`` only."""
    safe, other = SafeSession(), make_kit()
    with other.app.app_context(), pytest.raises(NoAppError, match="SafeSession of another app"):
        safe.safe_commit()


def test_the_scope_of_another_app(make_kit: MakeKit) -> None:
    """Another app's scope is none of this extension's: it has no current one, and no service runs."""
    mine, other = make_kit(), make_kit()
    assert mine.safe.current_scope() is None
    with other.app.app_context(), session_manager():
        assert mine.safe.current_scope() is None
        assert other.safe.current_scope() is current_scope()
        with pytest.raises(NoTransactionError):
            mine.safe.requires_transaction(lambda: None)()


def test_an_app_that_was_initialised_beside(make_kit: MakeKit) -> None:
    """``SafeSession(app)`` is bound to that app, though ``init_app`` gave it others too."""
    mine, other = make_kit(), make_kit(safe=False)
    mine.safe.init_app(other.app)
    with other.app.app_context():
        with pytest.raises(NoAppError, match=f"SafeSession of '{mine.app.name}'"):
            mine.safe.safe_commit()
        with session_manager() as session:
            session.add(other.Item(name="a"))
    assert other.names() == ["a"]


# --- requires_transaction


@requires_transaction
def _service(number: int) -> int:
    return number + 1


def test_a_service_in_a_scope(any_kit: Kit) -> None:
    """Inside a scope a service is an ordinary function."""
    with any_kit.app.app_context(), session_manager():
        assert _service(1) == 2


def test_a_service_outside_of_a_scope(sqlite_kit: Kit) -> None:
    """Without a scope it does not run, and the message names it and its caller."""
    with sqlite_kit.app.app_context(), pytest.raises(NoTransactionError) as caught:
        _service(1)
    text = str(caught.value)
    assert text.startswith(
        "'_service' needs a transaction, and 'test_a_service_outside_of_a_scope'"
    )
    assert "tests/test_extension.py" in text


def test_a_service_while_the_scope_is_suspended(sqlite_kit: Kit) -> None:
    """``not_supported`` takes the scope away, and with it the right to run."""
    with (
        sqlite_kit.app.app_context(),
        session_manager(),
        session_manager(propagation="not_supported"),
        pytest.raises(NoTransactionError),
    ):
        _service(1)


@pytest.mark.parametrize("wrong", [42, int, property(len)], ids=["number", "class", "property"])
def test_what_is_no_service(wrong: Any) -> None:
    """The decorator takes functions only."""
    with pytest.raises(TypeError, match="'@requires_transaction' was put on"):
        requires_transaction(wrong)


def _generator() -> Iterator[None]:
    yield


NOT_RUN: dict[str, tuple[Any, dict[str, Any], str]] = {
    "generator": (_generator, {}, "was given '_generator', which is a generator function"),
    "result": (None, {}, "was given None. Give it a function"),
    "name": ("load", {}, "was given 'load'. Give it a function"),
    "keyword": (len, {"key": 1}, "was given 'key', which it does not know"),
}


@pytest.mark.parametrize(("fn", "options", "message"), NOT_RUN.values(), ids=NOT_RUN)
def test_what_cannot_be_run(
    sqlite_kit: Kit, fn: Any, options: dict[str, Any], message: str
) -> None:
    """``safe.run()`` complains in its own name, before anything is begun."""
    with sqlite_kit.app.app_context(), pytest.raises(TypeError) as caught:
        sqlite_kit.safe.run(fn, **options)
    assert str(caught.value).startswith(f"'run()' {message}")
    assert ("functools.partial" in str(caught.value)) == bool(options)


# --- the front door


def test_the_public_names() -> None:
    """``__all__`` is sorted and complete, and each name is there."""
    assert [
        name for name in flask_safesession.__all__ if not hasattr(flask_safesession, name)
    ] == []
    assert flask_safesession.__all__ == sorted(flask_safesession.__all__)


def test_the_names_of_the_contract() -> None:
    """What users import is exported."""
    contract = {
        "AppContextManager",
        "Propagation",
        "SafeSession",
        "add_all_or_abort",
        "classify",
        "current_scope",
        "errors",
        "non_transactional",
        "on_commit",
        "on_rollback",
        "on_unknown",
        "requires_transaction",
        "safe_commit",
        "session_manager",
        "transactional",
    }
    assert contract <= set(flask_safesession.__all__)


def test_each_error_has_a_code() -> None:
    """Every exported class has a code of its own; a warning shares that of its error."""
    classes = [getattr(errors, name) for name in errors.__all__]
    raised = [each.code for each in classes if not issubclass(each, Warning)]
    assert len(set(raised)) == len(raised)
    assert errors.__all__ == sorted(errors.__all__)
