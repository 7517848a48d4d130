"""Follows the transactions of a function: what was sent, what was written, and what happened before the commit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from .effects import Action, Effect, text_of
from .facts import Assign, Await, Call, Expression, Statement
from .findings import Step
from .flow import Flow, TooManyPaths
from .opened import Inside, Open, joined
from .origins import last_name
from .symbols import Function
from .values import Instance, Session
from .waiting import enqueues, waits
from .walk import calls_of, names_in

if TYPE_CHECKING:
    from .analysis import Analysis

__all__ = ["Transactions", "follow"]

State = dict[str, "Open"]


class Transactions(Flow[State]):
    """Carries the open transactions along every path of one function."""

    def __init__(self, scope: Function, analysis: Analysis) -> None:
        super().__init__()
        self.scope = scope
        self.analysis = analysis
        self.effects = analysis.effects
        self.options = analysis.project.options
        self.waits: dict[int, Inside] = {}
        self.queues: dict[int, Inside] = {}
        self.begins: dict[int, Inside] = {}
        self._seen: dict[int, Inside] = {}
        self._kept: set[str] = set()
        self._jobs: dict[str, tuple[Call, str]] = {}

    # --- the flow

    def join(self, states: Iterable[State]) -> State:
        """Return every transaction that is open on one of the paths."""
        merged: State = {}
        for state in states:
            for key, each in state.items():
                merged[key] = joined(merged[key], each) if key in merged else each
        return merged

    def evaluate(self, expression: Expression, state: State) -> State:
        """Return the state after the calls of *expression*."""
        for call in calls_of(expression):
            state = self._after(call, state)
        return self._begun(expression, state, begun=True)

    def _begun(self, expression: Expression, state: State, *, begun: bool) -> State:
        """Note a ``begin()`` that stands alone; one whose result is kept may end out of sight."""
        call = expression.value if isinstance(expression, Await) else expression
        action = self.effects.action(call, self.scope) if isinstance(call, Call) else Action()
        session = action.session
        if not isinstance(call, Call) or session is None or not action.effect & Effect.BEGIN:
            return state
        step = Step(self.scope.path, call.at.line, f"'{text_of(call.func)}()' begins")
        current = replace(state.get(session.key, Open(session)), begun=step if begun else None)
        return {**state, session.key: current}

    def assign(self, statement: Statement, state: State) -> State:
        """Note the attributes of instances that are set, and the names that jobs get."""
        if not isinstance(statement, Assign):
            return state
        state = self._begun(statement.value, state, begun=False)
        for target in statement.targets:
            if isinstance(target, str) and "." in target and self._is_row(target):
                state = self._changed(target, statement.line, state)
            elif isinstance(target, str) and isinstance(statement.value, Call):
                text = enqueues(statement.value, self.scope, self.effects)
                if text:
                    self._jobs[target] = (statement.value, text)
        return state

    def leave(self, item: tuple[Expression, Expression], state: State, *, failed: bool) -> State:
        """End the transactions of the context managers that end some."""
        session = self._entered(item)
        if session is None or session.key not in state:
            return state
        expression = item[0]
        name = last_name(expression.func) if isinstance(expression, Call) else ""
        if name == "begin_nested":
            return state
        if (name == "begin" or session.origin == "scope") and not failed:
            line = expression.at.line if isinstance(expression, Call) else session.line
            ended = Step(self.scope.path, line, "the end of this block commits")
            self._confirm(state[session.key], ended)
        return {key: each for key, each in state.items() if key != session.key}

    def _entered(self, item: tuple[Expression, Expression]) -> Session | None:
        expression, target = item
        if isinstance(target, str):
            found = self.analysis.evaluator.session(target, self.scope)
            if found is not None:
                return found
        if isinstance(expression, Call):
            action = self.effects.action(expression, self.scope)
            return action.session
        return self.analysis.evaluator.session(expression, self.scope)

    def never_returns(self, expression: Expression) -> bool:
        """Whether a call in it always raises."""
        return any(self.analysis.raising.call(each, self.scope) for each in calls_of(expression))

    # --- one call

    def _after(self, call: Call, state: State) -> State:
        slow, deeper = self._slow(call)
        if slow:
            state = self._wait(call, slow, deeper, state)
        queue, at = self._queue(call)
        if queue:
            state = self._enqueue(call, queue, at, state)
        for session, effect in self.effects.on(call, self.scope):
            state = self._apply(call, session, effect, state)
        for session, effect in self.effects.after(call, self.scope):
            state = self._apply(call, session, effect & ~Effect.ENDS, state)
        return state

    def _slow(self, call: Call) -> tuple[str, Step | None]:
        action = self.effects.action(call, self.scope)
        if action.session is not None:
            return "", None
        if not action.callees or self.effects.is_named(call, self.scope, self.options.slow_calls):
            return waits(call, self.scope, self.effects), None
        for callee in action.callees:
            step = self.effects.summary(callee).slow
            if step is not None and (callee.facts.is_async or not callee.facts.is_generator):
                return text_of(call.func), step
        return "", None

    def _queue(self, call: Call) -> tuple[str, Step | None]:
        action = self.effects.action(call, self.scope)
        if not action.callees or self.effects.is_named(call, self.scope, self.options.sinks):
            return enqueues(call, self.scope, self.effects), None
        for callee in action.callees:
            summary = self.effects.summary(callee)
            ends = any(effect & Effect.ENDS for effect in summary.effects.values())
            if summary.enqueues is not None and not ends:
                return text_of(call.func), summary.enqueues
        return "", None

    def _wait(self, call: Call, text: str, deeper: Step | None, state: State) -> State:
        changed = dict(state)
        ended = {
            session.key
            for session, effect in self.effects.on(call, self.scope)
            if effect & Effect.ENDS
        }
        for key, each in state.items():
            if (
                each.sent is not None and key not in ended
            ):  # what waits and commits is looked at by itself
                self._seen[id(call)] = Inside(call, text, each.session, each.sent, None, deeper)
                changed[key] = replace(each, waited=each.waited | {id(call)})
        return changed

    def _enqueue(self, call: Call, text: str, at: Step | None, state: State) -> State:
        changed = dict(state)
        for key, each in state.items():
            opened = each.written or each.changed
            if opened is None:
                continue
            inside = Inside(call, text, each.session, opened, None, at)
            if each.written is not None:
                self.queues.setdefault(id(call), inside)
            else:
                self._seen[id(call)] = inside
                changed[key] = replace(each, queued=each.queued | {id(call)})
        return changed

    def _apply(self, call: Call, session: Session, effect: Effect, state: State) -> State:
        current = state.get(session.key)
        opened = (current.sent or current.begun) if current is not None else None
        if effect & Effect.BEGIN:
            self._kept.add(session.key)
            if opened is not None:
                self.begins.setdefault(id(call), Inside(call, text_of(call.func), session, opened))
        if effect & Effect.ENDS:
            if current is not None and effect & Effect.COMMIT:
                ended = Step(self.scope.path, call.at.line, f"'{text_of(call.func)}()' commits")
                self._confirm(current, ended)
            return {key: each for key, each in state.items() if key != session.key}
        current = current or Open(session)
        step = Step(
            self.scope.path,
            call.at.line,
            f"'{text_of(call.func)}()' works in the transaction of '{session.text}'",
        )
        if effect & (Effect.READ | Effect.FLUSH):
            current = replace(current, sent=current.sent or step)
        if effect & Effect.WRITE:
            self._after_job(call, session)
            sent = current.sent or (
                step
                if effect & Effect.READ or (current.written is not None and effect & Effect.FLUSH)
                else None
            )
            begun = current.begun or (step if self._begins_by_itself(call, session) else None)
            current = replace(current, written=current.written or step, sent=sent, begun=begun)
        return {**state, session.key: current}

    def _begins_by_itself(self, call: Call, session: Session) -> bool:
        """Whether it is an ``add()`` that begins; what a ``begin()`` has begun may end out of sight."""
        return (
            session.key not in self._kept
            and self.effects.action(call, self.scope).session is not None
        )

    def _after_job(self, call: Call, session: Session) -> None:
        """Report the job whose result the row that is added now was made from."""
        for name, (job, text) in self._jobs.items():
            if any(self._made_from(argument, name) for argument in call.args):
                step = Step(
                    self.scope.path,
                    call.at.line,
                    f"'{text_of(call.func)}()' stores what the job looks for",
                )
                self.queues.setdefault(id(job), Inside(job, text, session, step))

    def _made_from(self, argument: Expression, job: str) -> bool:
        values = [argument]
        if isinstance(argument, str):
            values += [each.value for each in self.scope.bindings.get(argument, ())]
        return any(_mentions(each, job) for each in values if not isinstance(each, str))

    def _confirm(self, current: Open, ended: Step) -> None:
        for each in current.waited:
            self.waits.setdefault(each, replace(self._seen[each], ended=ended))
        for each in current.queued:
            self.queues.setdefault(each, replace(self._seen[each], ended=ended))

    # --- attributes of rows

    def _is_row(self, target: str) -> bool:
        value = self.analysis.evaluator.value(target.rpartition(".")[0], self.scope)
        return (
            isinstance(value, Instance)
            and value.call is None
            and self.analysis.evaluator.is_model(value.cls)
        )

    def _changed(self, target: str, line: int, state: State) -> State:
        step = Step(self.scope.path, line, f"'{target}' is set here")
        return {
            key: replace(each, changed=each.changed or step) if each.sent is not None else each
            for key, each in state.items()
        }


def follow(scope: Function, analysis: Analysis) -> Transactions | None:
    """Follow the transactions of *scope*; None where it has too many paths."""
    flow = Transactions(scope, analysis)
    try:
        flow.run(scope.facts.body, {})
    except TooManyPaths:
        return None
    return flow


def _mentions(expression: Expression, name: str) -> bool:
    return any(each == name or each.startswith(f"{name}.") for each in names_in(expression))
