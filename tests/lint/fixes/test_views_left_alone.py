"""Views and services that are left alone, and why."""

from __future__ import annotations

import pytest

from . import rewritten as projects
from .rewritten import rewritten, run

HEAD = """\
from http import HTTPStatus

from flask import Blueprint, abort, flash, jsonify, make_response, redirect, render_template, request
from flask.views import MethodView
from flask_login import current_user
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from store.mail import mail
from store import shop
from store.shop import Item, check, db

bp = Blueprint("items", __name__)


def keep(session: Session):
    session.rollback()


def end(given):
    given.commit()


def serialize(item):
    return item.shown()


def strict(text):
    if not text:
        raise ValueError(text)


def strictly(text):
    strict(text)


def refused():
    abort(403)


"""
ADD = "item = Item(name=name)\ndb.session.add(item)\n"
TRY = f"{ADD}try:\n    db.session.commit()\nexcept IntegrityError:\n"


def left(code: str) -> list[str]:
    """Return why places of one module are left alone; what its head ends, is said as well."""
    ends = code.splitlines().index("    session.rollback()") + 1
    return [each for each in projects.left(code) if not each.startswith(f"{ends}: TXN102: only")]


def _view(body: str, head: str = "@bp.post('/<name>')\ndef add(name):") -> str:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"{HEAD}{head}\n{lines}"


REFUSED = {
    "'db.session.rollback()' would be left": (
        f"{ADD}db.session.commit()\nreturn ''\ndb.session.rollback()\nabort(400)"
    ),
    "'mail.delay()' comes after a commit, and may rely on it": (
        f"{ADD}db.session.commit()\nmail.delay(name)\nreturn ''"
    ),
    "it answers with an error after a commit": (
        f"{ADD}db.session.commit()\nif name == 'x':\n    return 'no', 401\nreturn ''"
    ),
    "it raises after a commit, which would be rolled back": (
        f"{ADD}db.session.commit()\nif name == 'x':\n    abort(403)\nreturn ''"
    ),
    "it raises after a commit, which would be rolled back:": (
        f"{ADD}db.session.commit()\nif name == 'x':\n    raise ValueError(name)\nreturn ''"
    ),
    "the status of this answer is not seen": f"{ADD}db.session.commit()\nreturn answer(name)",
    "the status of this answer is not seen:": f"{ADD}db.session.commit()\nreturn name",
    "the status of this answer is not seen::": (
        f"{ADD}db.session.commit()\nbody = make_response('')\nbody.status_code = name\nreturn body"
    ),
    "'request.args[\"v\"]' comes after a commit and may raise": (
        f"{ADD}db.session.commit()\nreturn {{'v': request.args[\"v\"]}}"
    ),
    "'int(name)' comes after a commit and may raise": (
        f"{ADD}db.session.commit()\nreturn {{'v': int(name)}}"
    ),
    "'float(given)' comes after a commit and may raise": (
        f"given = request.args.get('v')\n{ADD}db.session.commit()\nreturn {{'v': float(given)}}"
    ),
    "'request.json' comes after a commit and may raise": (
        f"{ADD}db.session.commit()\nbody = request.json\nreturn ''"
    ),
    "'strict(name)' comes after a commit and may raise": (
        f"{ADD}db.session.commit()\nstrict(name)\nreturn ''"
    ),
    "'strictly(name)' comes after a commit and may raise": (
        f"{ADD}db.session.commit()\nstrictly(name)\nreturn ''"
    ),
    "'refused()' comes after a commit and may raise": (
        f"{ADD}db.session.commit()\nrefused()\nreturn ''"
    ),
    "'int(name)' comes after a commit and may raise:": (
        f"{ADD}db.session.commit()\ntry:\n    int(name)\nexcept OSError:\n    flash(name)\nreturn ''"
    ),
    "'int(name)' comes after a commit and may raise::": (
        f"{ADD}db.session.commit()\ntry:\n    pass\nexcept (OSError, ValueError):\n    int(name)\nreturn ''"
    ),
    "it leaves here with changes that it does not commit:": (
        "item = db.session.get(Item, 1)\nfor item.name in 'abc':\n    pass\n"
        "if name == 'x':\n    return ''\ndb.session.commit()\nreturn ''"
    ),
    "it leaves here with changes that it does not commit::": (
        "item = db.session.get(Item, 1)\nitem.name, old = name, item.name\n"
        "if name == 'x':\n    return ''\ndb.session.commit()\nreturn ''"
    ),
    "the status of this 'abort()' is not seen": (
        f"{ADD}if not name:\n    abort(redirect('/'))\ndb.session.commit()\nreturn ''"
    ),
    "answers with a status that is not seen to be 400 or more": (
        f"{TRY}    db.session.rollback()\n    return redirect('/')\nreturn ''"
    ),
    "it rolls back here and goes on": f"{TRY}    db.session.rollback()\n    flash('exists')\nreturn ''",
    "'item' is used after the rollback": (
        f"{TRY}    db.session.rollback()\n    return item.name, 409\nreturn ''"
    ),
    "'render_template' is used after the rollback": (
        f"{TRY}    db.session.rollback()\n    return render_template('x.html'), 409\nreturn ''"
    ),
    "'current_user' is used after the rollback": (
        f"{TRY}    db.session.rollback()\n    abort(409, current_user.name)\nreturn ''"
    ),
    "'notify()' comes after a rollback": (
        f"{TRY}    db.session.rollback()\n    notify(name)\n    return '', 409\nreturn ''"
    ),
    "'db.session' is used after the failure": (
        f"{TRY}    db.session.rollback()\n    db.session.add(Item(name='x'))\n    return '', 409\nreturn ''"
    ),
    "it leaves here with changes that it does not commit": (
        f"{ADD}if name == 'x':\n    return ''\ndb.session.commit()\nreturn ''"
    ),
    "it commits in a loop": (
        "for each in name:\n    db.session.add(Item(name=each))\n    db.session.commit()\nreturn ''"
    ),
    "'db.session' is given away": f"session = db.session\n{ADD}db.session.commit()\nreturn ''",
    "'service.keep()' may be 'keep'": f"{ADD}service.keep(name)\ndb.session.commit()\nreturn ''",
    "'keep' (work.py:16) ends the transaction itself": (
        f"{ADD}keep(db.session)\ndb.session.commit()\nreturn ''"
    ),
    "'end' (work.py:20) ends the transaction itself": (
        f"{ADD}end(db.session)\ndb.session.commit()\nreturn ''"
    ),
    "ends the transaction by another name": (
        f"{ADD}db.session.commit()\nshop.db.session.commit()\nreturn ''"
    ),
}


@pytest.mark.parametrize(("reason", "body"), REFUSED.items())
def test_a_view_that_is_not_sure_is_left_alone(reason: str, body: str) -> None:
    """With one line that says why."""
    code = _view(body)
    assert reason.rstrip(":") in left(code)[-1]
    assert "@transactional" not in rewritten(code)


@pytest.mark.parametrize(
    ("reason", "head"),
    [
        ("the function is async", "@bp.post('/<name>')\nasync def add(name):"),
        ("it is no view that Flask calls by itself", "@expose('/<name>')\ndef add(name):"),
        (
            "it is no view that Flask calls by itself",
            "class Items(BaseView):\n  @bp.route('/')\n  def post(name):",
        ),
        (
            "'again' calls it as well",
            "def again():\n    add('again')\n\n\n@bp.post('/<name>')\ndef add(name):",
        ),
        (
            "the project uses 'fastapi'",
            "from fastapi import Depends\n@bp.post('/<name>')\ndef add(name):",
        ),
    ],
)
def test_what_is_no_view_of_flask_is_left_alone(reason: str, head: str) -> None:
    """The status rule would not see what it answers."""
    code = _view(
        f"{ADD}db.session.commit()\nreturn ''", head.replace("@expose", "@appbuilder.expose")
    )
    assert reason in left(code)[0]
    assert "@transactional" not in rewritten(code)


@pytest.mark.parametrize(
    "head",
    [
        "@bp.post('/<name>')\n@transactional\ndef add(name):",
        "@bp.post('/<name>')\n@in_transaction\ndef add(name):",
        "@celery.task\ndef add(name):",
    ],
)
def test_what_has_an_owner_or_is_no_view_is_not_touched(head: str) -> None:
    """Nor is it worth a line."""
    code = _view(f"{ADD}db.session.commit()\nreturn ''", head)
    assert (rewritten(code), left(code)) == (code, [])


def test_what_commits_and_nobody_calls_is_left_alone() -> None:
    """It may be a service of callers that are not seen."""
    code = _view(f"{ADD}db.session.commit()\nreturn ''", "def get(name):")
    assert "'get': nobody is seen to call it" in left(code)[0]
    assert rewritten(code) == code


@pytest.mark.parametrize(
    "answer",
    [
        "return {}, HTTPStatus.CREATED",
        "return [], 201, {}",
        "return '', {}",
        "return None",
        "return make_response('', 201)",
        "return make_response(jsonify({}))",
        "return jsonify({}) if name else redirect('/')",
        "return '', status.HTTP_201_CREATED",
        "body = {}\nreturn body",
        "return str(item.id)",
        "return schema.dump(item)",
        "return jsonify(serialize(item))",
        "if name == '?':\n    flash(name)\nreturn ''",
        "try:\n    int(name)\nexcept ValueError:\n    flash(name)\nreturn ''",
        "try:\n    int(name)\nexcept:\n    flash(name)\nreturn ''",
        "later = lambda: int(name)\nreturn ''",
        "return ()",
    ],
)
def test_an_answer_whose_status_is_seen_is_fine(answer: str) -> None:
    """As Flask reads it."""
    first = "if not name:\n    abort(code)\n"
    assert "@transactional" in rewritten(_view(f"{first}{ADD}db.session.commit()\n{answer}"))


# --- services

CREATE = "def create(name):\n    db.session.add(Item(name=name))\n    db.session.commit()\n\n\n"
VIEW = "@bp.post('/<name>')\ndef add(name):\n    create(name)\n    return ''\n\n\n"

SERVICES = {
    "'job' (work.py:54) calls it, and cannot own a scope: it is a task": (
        f"{CREATE}{VIEW}@celery.task\ndef job():\n    create('x')\n"
    ),
    "'<module>' (work.py:52) calls it, and owns no scope": f"{CREATE}{VIEW}create('x')\n",
    "nobody is seen to call 'create_two', which calls it": (
        f"{CREATE}{VIEW}def create_two():\n    create('x')\n    create('y')\n"
    ),
    "'service.create()' (work.py:53) may call it as well": (
        f"{CREATE}{VIEW}def other(service):\n    service.create('x')\n"
    ),
    "'create' is handed on at work.py:52, and whoever calls it is not seen": (
        f"{CREATE}{VIEW}scheduled(create)\n"
    ),
    "cannot own a scope: the session that it gives is not seen": (
        "def create(session: Session, name):\n    session.add(Item(name=name))\n    session.commit()\n\n\n"
        f"def both(given, name):\n    create(given, name)\n\n\n{VIEW.replace('create(', 'both(db.session, ')}"
    ),
    "the function is async": f"async {CREATE}{VIEW}",
    "it closes a session that it did not open": (
        f"{CREATE.rstrip()}\n    db.session.close()\n\n\n{VIEW}"
    ),
    "it goes on after a failure, which the owner": (
        "def create(name):\n    try:\n        db.session.add(Item(name=name))\n        db.session.commit()\n"
        f"    except IntegrityError:\n        return None\n\n\n{VIEW}"
    ),
    "'mail.delay()' comes after a commit": f"{CREATE.rstrip()}\n    mail.delay(name)\n\n\n{VIEW}",
    "cannot own a scope: 'mail.delay()' comes after a commit": (
        f"{CREATE}{VIEW}".replace("    return ''", "    mail.delay(name)\n    return ''")
    ),
    "cannot own a scope: it may rely on the commit of a service": (
        f"{CREATE}{VIEW}".replace("    create(name)", "    mail.delay(create(name))")
    ),
    "cannot own a scope: it answers with an error after a commit": (
        f"{CREATE}{VIEW}".replace("''", "'', 400")
    ),
    "cannot own a scope: it commits in a loop": (
        f"{CREATE}{VIEW}".replace("    create(name)", "    for each in name:\n        create(each)")
    ),
    "cannot own a scope: it commits in a loop:": (
        f"{CREATE}{VIEW}".replace("    create(name)", "    while create(name):\n        pass")
    ),
    "'session' may be a session of its own": (
        "def create(name, session=None):\n    session = session or db.session\n    session.add(Item(name=name))\n"
        f"    session.commit()\n\n\n{VIEW}"
    ),
}


@pytest.mark.parametrize(("reason", "code"), SERVICES.items())
def test_a_service_that_is_not_sure_is_left_alone(reason: str, code: str) -> None:
    """And so is its caller: they change together or not at all."""
    assert any(reason.rstrip(":") in each for each in left(HEAD + code)), left(HEAD + code)
    assert rewritten(HEAD + code) == HEAD + code


@pytest.mark.parametrize(
    "owner",
    [
        "def add(name):\n    with session_manager() as session:\n        create(name)\n",
        "@transactional\ndef add(name):\n    create(name)\n",
        "def add(name):\n    with session_manager():\n        for each in name:\n            create(each)\n",
    ],
)
def test_a_service_whose_callers_own_a_scope_flushes(owner: str) -> None:
    """Its commit would be a TransactionOwnershipError there."""
    code = f"from flask_safesession import session_manager, transactional\n{HEAD}{CREATE}{owner}"
    assert rewritten(code) == code.replace("db.session.commit()", "db.session.flush()")


def test_files_change_together() -> None:
    """A service in one file, its owners in others; none of them alone."""
    files = {
        "services.py": f"{HEAD}{CREATE}",
        "views.py": f"{HEAD}from services import create\n\n\n{VIEW}",
    }
    outcome = run(files)
    assert (outcome.changes, sorted(outcome.contents)) == (1, ["services.py", "views.py"])
    alone = run(files, wanted=frozenset({"services.py"}))
    assert (alone.changes, [each.reason for each in alone.left[1:]]) == (
        0,
        ["'create': 'views.py' would have to change with it, and is not among the PATHS"],
    )
