"""What is said to who reaches for a session without an application context, or through one that has ended."""

from __future__ import annotations

from flask.globals import app_ctx

from . import errors
from ._config import GuardMode
from ._core import wording
from ._core.places import outside

__all__ = ["complain_stale", "no_app_context", "warn_ended"]


def no_app_context() -> errors.NoAppError:
    """Why there is no session here."""
    caller = outside().place
    if not app_ctx:
        return errors.NoAppError(
            f"{caller} needs a session outside of any application context. Put 'with app.app_context():' around the "
            "call, or 'with AppContextManager(app):' in a thread or job."
        )
    return errors.NoAppError(
        f"{caller} needs a session, and the app '{app_ctx.app.name}' has no SafeSession. Call 'SafeSession(app)' or "
        "'safe.init_app(app)' where the app is made."
    )


def warn_ended() -> None:
    """Warn of a use of a session whose context has ended."""
    outside().warn(str(wording.session_ended()), errors.StaleContextWarning)


def complain_stale(mode: GuardMode) -> None:
    """Say, as *mode* wants it, that a session was reached for through a context that has ended.

    Raises:
        StaleContextError: If *mode* is ``"raise"``.
    """
    if mode == "off":
        return
    caller = outside()
    text = (
        f"{caller.place} reached for a session through an application context that has already ended. Open a new one "
        "with 'with app.app_context():', or with 'with AppContextManager(app):' in a thread or job."
    )
    if mode == "raise":
        raise errors.StaleContextError(text)
    caller.warn(text, errors.StaleContextWarning)
