"""The planner's clock: APScheduler, each of whose jobs runs in a context of its own, a coroutine or not."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import click
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from flask import Flask

from flask_safesession.contrib.apscheduler import init_scheduler

from .payroll import send_all
from .publishing import publish_newest_drafts


def run(app: Flask, *, hour: int, every: float | None) -> None:
    """Publish and send each night at *hour*, or every so many seconds, until somebody ends the process."""
    trigger = CronTrigger(hour=hour) if every is None else IntervalTrigger(seconds=every)
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(app, trigger))


async def _run(app: Flask, trigger: Any) -> None:
    scheduler = AsyncIOScheduler()
    init_scheduler(scheduler, app)
    scheduler.add_job(publish_newest_drafts, trigger, id="nightly publishing")
    scheduler.add_job(send_all, trigger, id="nightly payroll")
    scheduler.add_listener(_tell, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    scheduler.start()
    click.echo("The scheduler runs; end it with Ctrl-C.")
    await asyncio.Event().wait()


def _tell(event: Any) -> None:
    if event.exception is not None:
        click.echo(f"The {event.job_id} failed: {event.exception}", err=True)
        return
    for outcome in event.retval:
        click.echo(str(outcome))
