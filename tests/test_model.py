"""The scopes against a small model of what they promise, driven by Hypothesis on real databases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from flask_safesession import current_scope, errors, on_commit, on_rollback, session_manager

from .kit import Kit, MakeKit


@dataclass
class Transaction:
    """What one root transaction has done."""

    wrote: bool = False
    hooks: list[tuple[int, Level | None]] = field(default_factory=list)


@dataclass(eq=False)
class Level:
    """A transaction, or a savepoint in it: what is rolled back together."""

    transaction: Transaction
    parent: Level | None = None
    rows: list[str] = field(default_factory=list)
    aborted: bool = False
    violated: bool = False
    poisoned: bool = False
    refusing: bool = False
    rollback_only: bool = False

    @property
    def usable(self) -> bool:
        return not (self.aborted or self.refusing)

    @property
    def quiet(self) -> bool:
        return self.rollback_only and not self.poisoned


@dataclass
class Block:
    """A ``with session_manager():`` that was entered."""

    manager: Any
    session: Any
    level: Level
    owns: bool


class BoomError(Exception):
    """What leaves a block."""


class Scopes(RuleBasedStateMachine):
    """Opens, fails and leaves scopes; after each step the database and the hooks are as the model says."""

    kit: ClassVar[Kit]
    numbers: ClassVar[Any]

    def __init__(self) -> None:
        super().__init__()
        self.context = self.kit.app.app_context()
        self.context.push()
        self.blocks: list[Block] = []
        self.stored = set(self.kit.names())
        self.expected: list[int] = []
        self.ran: list[int] = []

    @property
    def aborts(self) -> bool:
        """Whether a failed statement ends the transaction, as on PostgreSQL."""
        return self.kit.database.dialect == "postgresql"

    @property
    def block(self) -> Block:
        return self.blocks[-1]

    def _enter(self, propagation: str) -> tuple[Any, Any]:
        manager = session_manager(propagation=propagation)
        return manager, manager.__enter__()

    @rule()
    def required(self) -> None:
        manager, session = self._enter("required")
        if self.blocks:
            self.blocks.append(Block(manager, session, self.block.level, owns=False))
        else:
            self.blocks.append(Block(manager, session, Level(Transaction()), owns=True))

    @precondition(lambda self: self.blocks and self.block.level.usable)
    @rule()
    def nested(self) -> None:
        manager, session = self._enter("nested")
        outer = self.block.level
        self.blocks.append(Block(manager, session, Level(outer.transaction, outer), owns=True))

    @precondition(lambda self: self.blocks and len(self.blocks) < 4)
    @rule()
    def requires_new(self) -> None:
        if not self.aborts and any(each.level.transaction.wrote for each in self.blocks):
            with pytest.raises(errors.SelfDeadlockError):
                self._use_new()
            return
        manager, session = self._enter("requires_new")
        self.blocks.append(Block(manager, session, Level(Transaction()), owns=True))

    def _use_new(self) -> None:
        with session_manager(propagation="requires_new") as session:
            session.execute(text("SELECT 1"))

    @precondition(lambda self: self.blocks)
    @rule()
    def write(self) -> None:
        name = f"row{next(self.numbers)}"
        send = partial(self.block.session.execute, insert(self.kit.Item).values(name=name))
        if self._send(send):
            self.block.level.rows.append(name)

    @precondition(lambda self: self.blocks)
    @rule()
    def write_what_only_the_commit_refuses(self) -> None:
        row = insert(self.kit.LateChild).values(name="orphan", parent_id=-1)
        if self._send(partial(self.block.session.execute, row)):
            self.block.level.violated = True

    def _send(self, send: Callable[[], Any]) -> bool:
        level = self.block.level
        if level.usable:
            send()
            level.transaction.wrote = True
            return True
        with pytest.raises(errors.UnexpectedRollbackError if level.refusing else DBAPIError):
            send()
        return False

    @precondition(lambda self: self.blocks and not self.block.level.refusing)
    @rule()
    def swallow_a_failed_statement(self) -> None:
        with pytest.raises(DBAPIError):
            self.block.session.execute(text("SELECT * FROM missing"))
        self.block.level.aborted |= self.aborts

    @precondition(lambda self: self.blocks)
    @rule(end=st.sampled_from(["commit", "rollback", "close"]))
    def a_service_ends_it(self, end: str) -> None:
        with pytest.raises(errors.TransactionOwnershipError):
            getattr(self.block.session, end)()

    @precondition(lambda self: self.blocks)
    @rule()
    def set_rollback_only(self) -> None:
        scope = current_scope()
        assert scope is not None
        scope.set_rollback_only()
        self.block.level.rollback_only = True
        self.block.level.poisoned |= not self.block.owns

    @precondition(lambda self: self.blocks)
    @rule(register=st.sampled_from([on_commit, on_rollback]))
    def hook(self, register: Any) -> None:
        number = next(self.numbers)
        register(self.ran.append, number)
        level = self.block.level if register is on_commit else None
        self.block.level.transaction.hooks.append((number, level))

    @precondition(lambda self: self.blocks)
    @rule()
    def fail(self) -> None:
        block = self.blocks.pop()
        if block.owns:
            self._rolled_back(block.level)
        else:
            block.level.refusing = block.level.poisoned = block.level.rollback_only = True
        error = BoomError()
        assert block.manager.__exit__(BoomError, error, None) is None

    @precondition(lambda self: self.blocks)
    @rule()
    def leave(self) -> None:
        block = self.blocks.pop()
        expected = self._error(block.level) if block.owns else None
        if expected is not None:
            self._rolled_back(block.level)
            with pytest.raises(expected):
                block.manager.__exit__(None, None, None)
            return
        if block.owns:
            (self._rolled_back if block.level.rollback_only else self._kept)(block.level)
        block.manager.__exit__(None, None, None)

    def _error(self, level: Level) -> type[Exception] | None:
        if level.rollback_only:
            return None if level.quiet else errors.UnexpectedRollbackError
        if level.aborted:
            return errors.UnexpectedRollbackError
        return IntegrityError if level.violated and level.parent is None else None

    def _kept(self, level: Level) -> None:
        hooks = level.transaction.hooks
        if level.parent is None:
            self.stored.update(level.rows)
            self.expected += [number for number, registered in hooks if registered is not None]
            return
        level.parent.rows += level.rows
        level.parent.violated |= level.violated
        hooks[:] = [(n, level.parent if at is level else at) for n, at in hooks]

    def _rolled_back(self, level: Level) -> None:
        hooks = level.transaction.hooks
        if level.parent is None:
            self.expected += [number for number, registered in hooks if registered is None]
        hooks[:] = [each for each in hooks if each[1] is not level]

    @invariant()
    def what_is_stored_is_what_was_committed(self) -> None:
        assert set(self.kit.names()) == self.stored

    @invariant()
    def each_hook_ran_when_its_transaction_ended(self) -> None:
        assert self.ran == self.expected

    @invariant()
    def no_connection_is_out_without_a_scope(self) -> None:
        assert self.blocks or self.kit.checkedout() == 0

    def teardown(self) -> None:
        while self.blocks:
            self.fail()
        self.context.pop()
        self.what_is_stored_is_what_was_committed()
        self.each_hook_ran_when_its_transaction_ended()
        assert self.kit.checkedout() == 0


@pytest.mark.parametrize(
    "name",
    ["sqlite-file", pytest.param("postgresql-psycopg", marks=pytest.mark.postgresql)],
)
def test_scopes_do_what_the_model_says(make_kit: MakeKit, name: str) -> None:
    """Whatever is opened, failed, swallowed, doomed, hooked and left, in whatever order."""
    machine: Any = type("Machine", (Scopes,), {"kit": make_kit(name), "numbers": count()})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
