"""The planner's clock: APScheduler, each of whose jobs runs in a context of its own."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import click
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from flask import Flask

from flask_safesession.contrib.apscheduler import init_scheduler

from .publishing import publish_newest_drafts


def run(app: Flask, *, hour: int, every: float | None) -> None:
    """Publish each night at *hour*, or every so many seconds, until somebody ends the process."""
    scheduler = BlockingScheduler()
    init_scheduler(scheduler, app)
    trigger = CronTrigger(hour=hour) if every is None else IntervalTrigger(seconds=every)
    scheduler.add_job(publish_newest_drafts, trigger, id="nightly publishing")
    scheduler.add_listener(_tell, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    with suppress(KeyboardInterrupt):
        click.echo("The scheduler runs; end it with Ctrl-C.")
        scheduler.start()
    if scheduler.running:
        scheduler.shutdown()


def _tell(event: Any) -> None:
    if event.exception is not None:
        click.echo(f"The nightly publishing failed: {event.exception}", err=True)
        return
    for outcome in event.retval:
        click.echo(str(outcome))
