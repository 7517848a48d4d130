"""What the commands share: one line for each mistake, exit code 2 where nothing could be done."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import click

from .refusals import CannotRunError

__all__ = ["DefaultGroup", "OneLineCommand", "Refusal", "printable"]

_COULD_NOT_RUN = 2


class Refusal(click.ClickException):
    """One line on stderr, and exit code 2."""

    exit_code = _COULD_NOT_RUN


class OneLineCommand(click.Command):
    """A command whose errors are one line, without the usage above it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read *args*."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise Refusal(error.format_message()) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a fault of the checker itself must not look like findings, whose exit code is 1."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except CannotRunError as error:
            raise Refusal(" ".join(str(error).split())) from error
        except Exception:  # noqa: BLE001 - whatever it is, its traceback is shown
            click.echo(traceback.format_exc(), err=True)
            ctx.exit(_COULD_NOT_RUN)


class DefaultGroup(click.Group):
    """A group that takes its first command where none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read *args*."""
        if not args or args[0] not in self.commands:
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)


def printable(rendered: str) -> str:
    """Return what stdout can encode: the name of a file may hold any bytes."""
    encoding = sys.stdout.encoding
    return rendered.encode(encoding, "backslashreplace").decode(encoding)
