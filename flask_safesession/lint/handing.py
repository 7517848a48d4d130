"""Calls that hand a function and its arguments to another thread, task, process or queue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .effects import text_of
from .facts import Call, Expression, ExpressionStatement
from .origins import argument_for, last_name
from .surroundings import (
    BACKGROUND_NAME,
    EXECUTOR_NAME,
    EXECUTORS,
    POOL_METHODS,
    QUEUE_METHODS,
    QUEUE_NAME,
    SCHEDULER_NAME,
    TASK_METHODS,
    TASK_STARTERS,
    THREAD_CALLS,
    THREADS,
    TIMERS,
)
from .symbols import Class, Function
from .values import (
    ClassValue,
    External,
    FunctionValue,
    Query,
    Registry,
    Result,
    Rows,
    Session,
    Value,
)
from .walk import flat, statements_in

if TYPE_CHECKING:
    from .analysis import Analysis

__all__ = ["Handing", "handings"]

Kind = Literal["thread", "executor", "timer", "scheduler", "task", "background task", "queue"]

_NAMES = (
    POOL_METHODS
    | TASK_METHODS
    | QUEUE_METHODS
    | {
        "Thread",
        "Process",
        "Timer",
        "Greenlet",
        "run_in_executor",
        "add_task",
        "add_job",
        "send",
        "to_thread",
        "run_sync",
    }
    | {each.rpartition(".")[2] for each in THREAD_CALLS}
)


@dataclass(frozen=True, slots=True)
class Handing:
    """One such call.

    Attributes:
        kind: To whom.
        scope: Where it is made.
        call: The call.
        text: Its name as written.
        target: The function of the project that will run.
        callee: The expression of what will run.
        arguments: What it gets.
    """

    kind: Kind
    scope: Function
    call: Call
    text: str
    target: Function | None
    callee: Expression
    arguments: tuple[Expression, ...]

    @property
    def receiver(self) -> str:
        """To whom, with its article."""
        return f"an {self.kind}" if self.kind == "executor" else f"a {self.kind}"


def handings(analysis: Analysis) -> Iterator[Handing]:
    """Return every such call of the project."""
    sinks = analysis.project.options.sinks
    names = _NAMES | {each.name for each in _thread_classes(analysis)} | set(_aliases(analysis))
    for scope, call in analysis.calls():
        name = last_name(call.func)
        if name in names or (sinks and analysis.effects.is_named(call, scope, sinks)):
            found = _handing(call, name, scope, analysis)
            if found is not None:
                yield found
    for function in analysis.functions:
        yield from _scheduled_functions(function, analysis)
        if function.facts.is_async:
            yield from _forgotten_tasks(function, analysis)


def _aliases(analysis: Analysis) -> Iterator[str]:
    """Return the names that the files give to what they import: ``from threading import Thread as T``."""
    for module in analysis.project.modules:
        inner = (each.facts.imports for each in module.everything())
        for imports in (module.facts.imports, *inner):
            for name, target in imports.items():
                last = target.rpartition(".")[2]
                if last != name and last in _NAMES:
                    yield name


def _thread_classes(analysis: Analysis) -> Iterator[Class]:
    """Return the classes whose objects are threads: what they do is in their ``run()``."""
    derives = analysis.evaluator.models.derives
    runners = (each.cls for each in analysis.project.methods_named.get("run", ()))
    if any(each is not None and derives(each, THREADS) for each in runners):
        classes = (each for module in analysis.project.modules for each in module.classes.values())
        yield from (each for each in classes if derives(each, THREADS))


def _kept(call: Call, cls: Class, analysis: Analysis) -> tuple[Expression, ...]:
    """Return the arguments that a constructor stores as they are; the rest stays in the thread that calls it."""
    init = analysis.project.method(cls, "__init__")
    if init is None:
        return ()
    stored = (
        each.value
        for name, bindings in init.bindings.items()
        if name.startswith(f"{init.receiver}.")
        for each in bindings
    )
    names = {each for value in stored for each in flat(value) if isinstance(each, str)}
    return tuple(
        argument_for(call, init, each, bound=True) for each in init.parameters if each in names
    )


def _scheduled_functions(function: Function, analysis: Analysis) -> Iterator[Handing]:
    """Return the decorators that give *function* to a scheduler."""
    for decorator in function.facts.decorators:
        if isinstance(decorator, Call) and last_name(decorator.func) in {"task", "scheduled_job"}:
            text = text_of(decorator.func)
            if SCHEDULER_NAME.search(text.rpartition(".")[0]):
                outer = function.outer or function.module.body
                yield Handing("scheduler", outer, decorator, text, function, function.name, ())


def _forgotten_tasks(scope: Function, analysis: Analysis) -> Iterator[Handing]:
    """Return the tasks that nobody in *scope* waits for."""
    for statement in statements_in(scope.facts.body):
        call = statement.value if isinstance(statement, ExpressionStatement) else None
        if not isinstance(call, Call) or not call.args or not isinstance(call.args[0], Call):
            continue
        value = analysis.evaluator.value(call.func, scope)
        if isinstance(value, External) and value.path in TASK_STARTERS:
            coroutine = call.args[0]
            yield _made(
                "task", call, text_of(call.func), coroutine.func, _all(coroutine), scope, analysis
            )


def _handing(call: Call, name: str, scope: Function, analysis: Analysis) -> Handing | None:
    value = analysis.evaluator.value(call.func, scope)
    owner = analysis.effects.owner(call.func, scope)
    text = text_of(call.func)
    if analysis.effects.is_named(call, scope, analysis.project.options.sinks):
        return _made("queue", call, text, None, _all(call), scope, analysis)
    path = value.path if isinstance(value, External) else ""
    if path in THREADS or (path == "" and text in {"threading.Thread", "Thread"} and value is None):
        return _made(
            "thread",
            call,
            text,
            _keyword(call, "target", 1),
            _thread_arguments(call),
            scope,
            analysis,
        )
    if isinstance(value, ClassValue) and analysis.evaluator.models.derives(value.cls, THREADS):
        run = analysis.project.method(value.cls, "run")
        kept = _kept(call, value.cls, analysis)
        return Handing("thread", scope, call, text, run, call.func, kept)
    if path in TIMERS:
        return _made(
            "timer",
            call,
            text,
            _keyword(call, "function", 1),
            (*call.args[2:], _keyword(call, "args", 2)),
            scope,
            analysis,
        )
    if path in THREAD_CALLS:
        return _made("thread", call, text, _first(call), _after(call, 1), scope, analysis)
    return _by_method(call, name, text, owner, scope, analysis)


def _by_method(
    call: Call, name: str, text: str, owner: Value, scope: Function, analysis: Analysis
) -> Handing | None:
    owner_text = text.rpartition(".")[0]
    if not owner_text or isinstance(owner, Session | Query | Rows | Registry):
        return None
    if name == "run_in_executor" and len(call.args) > 1:
        return _made("executor", call, text, call.args[1], _after(call, 2), scope, analysis)
    if name in POOL_METHODS and _is_executor(owner, owner_text, name):
        return _made("executor", call, text, _first(call), _after(call, 1), scope, analysis)
    if name == "add_task" and (
        BACKGROUND_NAME.search(owner_text)
        or (isinstance(owner, Result) and owner.path.endswith(".BackgroundTasks"))
    ):
        return _made("background task", call, text, _first(call), _after(call, 1), scope, analysis)
    if name == "add_job" and SCHEDULER_NAME.search(owner_text):
        return _made(
            "scheduler", call, text, _keyword(call, "func", 0), _scheduled(call), scope, analysis
        )
    if name in TASK_METHODS:
        return _made("queue", call, text, owner_text, _task_arguments(call, name), scope, analysis)
    if name in QUEUE_METHODS and (QUEUE_NAME.search(owner_text) or name != "enqueue_many"):
        return _made("queue", call, text, _first(call), _after(call, 1), scope, analysis)
    if (
        name == "send"
        and isinstance(owner, FunctionValue)
        and "actor" in owner.function.binding_names
    ):
        return _made("queue", call, text, owner_text, _all(call), scope, analysis)
    return None


def _is_executor(owner: Value, text: str, name: str) -> bool:
    if isinstance(owner, Result):
        return owner.path in EXECUTORS
    if isinstance(owner, External):
        return False
    return (
        owner is None
        and bool(EXECUTOR_NAME.search(text))
        and name in {"submit", "map", "apply_async", "starmap"}
    )


def _made(
    kind: Kind,
    call: Call,
    text: str,
    callee: Expression,
    arguments: tuple[Expression, ...],
    scope: Function,
    analysis: Analysis,
) -> Handing:
    callee, bound = _unwrapped(callee)
    value = analysis.evaluator.value(callee, scope)
    target = value.function if isinstance(value, FunctionValue) else None
    if isinstance(value, ClassValue):
        target = analysis.project.method(value.cls, "__call__")
    return Handing(kind, scope, call, text, target, callee, (*arguments, *bound))


def _unwrapped(callee: Expression) -> tuple[Expression, tuple[Expression, ...]]:
    """Return what ``partial(f, …)`` or ``copy_context().run`` will call, and the arguments in it."""
    if (
        isinstance(callee, Call)
        and last_name(callee.func) in {"partial", "s", "si"}
        and callee.args
    ):
        return callee.args[0], _after(callee, 1)
    return callee, ()


def _first(call: Call) -> Expression:
    return call.args[0] if call.args else _keyword(call, "func", 0)


def _after(call: Call, count: int) -> tuple[Expression, ...]:
    return (
        *call.args[count:],
        *[
            value
            for name, value in call.keywords
            if name not in {"func", "f", "timeout", "job_timeout"}
        ],
    )


def _all(call: Call) -> tuple[Expression, ...]:
    return _after(call, 0)


def _keyword(call: Call, name: str, position: int) -> Expression:
    for key, value in call.keywords:
        if key == name:
            return value
    return call.args[position] if len(call.args) > position else None


def _thread_arguments(call: Call) -> tuple[Expression, ...]:
    return (_keyword(call, "args", 3), _keyword(call, "kwargs", 4))


def _scheduled(call: Call) -> tuple[Expression, ...]:
    return tuple(value for name, value in call.keywords if name in {"args", "kwargs"})


def _task_arguments(call: Call, name: str) -> tuple[Expression, ...]:
    if name in {"apply_async", "send_task", "apply_async_on_commit"}:
        return (
            *call.args[:2],
            *[value for key, value in call.keywords if key in {"args", "kwargs"}],
        )
    return _all(call)
