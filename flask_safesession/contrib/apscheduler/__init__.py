"""APScheduler 3: each run of a job, and each listener, has an application context and a session of its own."""

try:
    import apscheduler.schedulers.base  # noqa: F401 - the other rooms of this package need it
except ModuleNotFoundError as error:
    raise ImportError(
        "'flask_safesession.contrib.apscheduler' needs APScheduler 3, from 3.11 on: 4.0 has other schedulers. "
        'Install it with \'pip install "Flask-SafeSession[apscheduler]" "apscheduler<4"\'.'
    ) from error

from .._marks import job_options
from ._scheduler import add_job_on_commit, init_scheduler

__all__ = ["add_job_on_commit", "init_scheduler", "job_options"]
