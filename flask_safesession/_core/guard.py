"""Who may end a session's transaction: the classes and listeners that stand between a session and its callers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Sized
from typing import Any, cast

from sqlalchemy import Connection, Engine, Select
from sqlalchemy.exc import PendingRollbackError
from sqlalchemy.orm import Session, SessionTransaction, sessionmaker

from .commit import committing
from .dialects import wire_engine
from .events import listen
from .forks import watch
from .holding import watch_pool
from .ledger import Ledger, Rules, attach, find_ledger
from .outcome import COMMITTED, Outcome
from .ownership import (
    guard_connection,
    nothing,
    poison,
    refuse,
)
from .places import caller_beyond
from .root import (
    RootTransaction,
    become_root,
    commit_failed,
    end_page,
    prepare_together,
    run_hooks,
)
from .sharing import SharingMixin, admit, admit_end
from .writes import ask, note_change, note_first, note_statement, note_write

__all__ = [
    "GuardMixin",
    "entered_by_hand",
    "guard_factory",
    "guard_session",
]

RulesFinder = Callable[[], Rules]


class GuardMixin(SharingMixin):
    """What is put in front of a session class: each call that ends or begins a transaction asks the ledger first."""

    _safesession_ledger: Ledger

    @staticmethod
    def _find_rules() -> Rules:
        """The rules of the app that a new session belongs to."""
        raise NotImplementedError

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        rules = type(self)._find_rules()
        self._safesession_ledger = Ledger(rules)  # first: a class may begin as soon as it is made
        super().__init__(*args, **kwargs)
        if self.bind is not None:
            # It may be lent with a transaction, where a SAVEPOINT comes first.
            wire_engine(self.bind.engine, rules)
        if rules.twophase is not None and rules.twophase():
            prepare_together(self)

    def begin(self, nested: bool = False) -> SessionTransaction:
        admit(self)
        ledger = self._safesession_ledger
        if not nested and ledger.guarded:
            return refuse(self, "begin", super().begin, super().begin_nested)
        transaction = super().begin(nested)
        become_root(super().get_transaction(), ledger)
        return transaction

    def get_transaction(self) -> SessionTransaction | None:
        transaction = super().get_transaction()
        become_root(transaction, self._safesession_ledger)
        return transaction

    def safesession_begin(self) -> None:
        """Begin a transaction that nobody holds in hand."""
        super().begin()

    def commit(self) -> None:
        admit(self)
        ledger = self._safesession_ledger
        if ledger.guarded:
            refuse(self, "commit", self.commit, self.flush)
            return
        if not ledger.connections:
            ledger.asked = caller_beyond(1)
        self.safesession_commit(ledger)

    def safesession_commit(self, ledger: Ledger) -> None:
        """Commit; a transaction that somebody holds in hand sees to the rest by itself."""
        if ledger.root is not None:
            try:
                super().commit()
            finally:
                ledger.asked = None
            return
        ledger.sent = ledger.stored = False
        connections = ledger.connections
        token = committing.set(ledger)
        try:
            super().commit()
        except BaseException as error:
            if isinstance(error, PendingRollbackError):
                note_first(self, error)
            run_hooks(ledger, commit_failed(ledger, error))
            raise
        finally:
            committing.reset(token)
            ledger.asked = None
        end_page(ledger, connections)
        if ledger.hooks is not None:
            run_hooks(ledger, COMMITTED)

    def prepare(self) -> None:
        admit(self)
        if self._safesession_ledger.guarded:
            refuse(self, "prepare", super().prepare, self.flush)
            return
        super().prepare()

    def rollback(self) -> None:
        admit_end(self)
        if self._safesession_ledger.guarded:
            refuse(self, "rollback", self.rollback, lambda: poison(self))
            return
        self._safesession_end(super().rollback)

    def close(self) -> None:
        admit_end(self)
        if self._safesession_ledger.guarded:
            refuse(self, "close", self.close, nothing)
            return
        self._safesession_end(super().close)

    def reset(self) -> None:
        admit_end(self)
        if self._safesession_ledger.guarded:
            refuse(self, "reset", self.reset, nothing)
            return
        self._safesession_end(super().reset)

    def invalidate(self) -> None:
        admit_end(self)
        if self._safesession_ledger.guarded:
            refuse(self, "invalidate", self.invalidate, lambda: poison(self))
            return
        self._safesession_end(super().invalidate)

    def _safesession_end(self, real: Callable[[], None]) -> None:
        """Give a transaction up; one that somebody holds in hand sees to its hooks by itself."""
        ledger = self._safesession_ledger
        held = ledger.root is not None and entered_by_hand(ledger.root)
        connections = ledger.connections
        try:
            real()
        finally:
            end_page(ledger, connections)
        if not held:
            run_hooks(ledger, Outcome.ROLLED_BACK)

    def connection(self, *args: Any, **kwargs: Any) -> Connection:
        admit(self)
        connection = super().connection(*args, **kwargs)
        self._safesession_ledger.unclear = True
        if self._safesession_ledger.owner is not None:
            guard_connection(connection)
        return connection

    def add(self, instance: object, *args: Any, **kwargs: Any) -> None:
        admit(self)
        super().add(instance, *args, **kwargs)
        if self._safesession_ledger.owner is None:
            note_change(self)

    def add_all(self, instances: Iterable[object]) -> None:
        admit(self)
        super().add_all(instances)  # by add()

    def _bulk_save_mappings(self, mapper: Any, mappings: Any, *args: Any, **kwargs: Any) -> None:
        super()._bulk_save_mappings(mapper, mappings, *args, **kwargs)
        if not isinstance(mappings, Sized) or len(mappings):
            note_write(self)

    def _delete_impl(self, *args: Any, **kwargs: Any) -> None:
        admit(self)
        super()._delete_impl(*args, **kwargs)
        note_change(self)

    def merge(self, *args: Any, **kwargs: Any) -> Any:
        admit(self)
        merged = super().merge(*args, **kwargs)
        note_change(self)
        return merged

    def merge_all(self, *args: Any, **kwargs: Any) -> Any:
        merged = super().merge_all(*args, **kwargs)
        if merged:
            note_change(self)
        return merged

    def execute(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        statement = ask(self, statement)
        try:
            result = super().execute(statement, *args, **kwargs)
        except PendingRollbackError as error:
            note_first(self, error)
            raise
        finally:
            self._safesession_ledger.asked = None
        if type(statement) is not Select:
            note_statement(self, statement)
        return result

    def scalar(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        statement = ask(self, statement)
        try:
            result = super().scalar(statement, *args, **kwargs)
        except PendingRollbackError as error:
            note_first(self, error)
            raise
        finally:
            self._safesession_ledger.asked = None
        if type(statement) is not Select:
            note_statement(self, statement)
        return result

    def scalars(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        statement = ask(self, statement)
        try:
            result = super().scalars(statement, *args, **kwargs)
        except PendingRollbackError as error:
            note_first(self, error)
            raise
        finally:
            self._safesession_ledger.asked = None
        if type(statement) is not Select:
            note_statement(self, statement)
        return result


def entered_by_hand(transaction: SessionTransaction) -> bool:
    """Whether a ``with session.begin():`` is around."""
    return isinstance(transaction, RootTransaction) and transaction._entered


def guard_factory(factory: sessionmaker[Any], find_rules: RulesFinder) -> None:
    """Let *factory* make guarded sessions; its users' classes and other factories stay as they are."""
    for bind in (factory.kw.get("bind"), *(factory.kw.get("binds") or {}).values()):
        if isinstance(bind, Engine):
            watch(bind)  # it may be used, and its process forked, before the first session
            watch_pool(bind, Rules())
        elif isinstance(bind, Connection):
            wire_engine(bind.engine)  # as above
    if not issubclass(factory.class_, GuardMixin):
        guarded = _guarded_class(factory.class_, find_rules)
        listen(guarded)
        factory.class_ = guarded


def guard_session(session: Session, find_rules: RulesFinder) -> None:
    """Guard a session that some other factory made."""
    if find_ledger(session) is not None:
        return
    ledger = attach(session, find_rules())
    session.__class__ = _adopting_class(cast(Hashable, type(session)))
    listen(session)
    if session.in_transaction():
        become_root(Session.get_transaction(session), ledger)
        ledger.written = bool(session.new or session.dirty or session.deleted)
        ledger.unclear = True


def _guarded_class(base: type[Session], find_rules: RulesFinder) -> type[Session]:
    return type(base.__name__, (GuardMixin, base), {"_find_rules": staticmethod(find_rules)})


@functools.cache
def _adopting_class(base: Any) -> type[Session]:
    return type(base.__name__, (GuardMixin, base), {"_find_rules": staticmethod(Rules)})
