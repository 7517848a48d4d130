"""The projects whose own tests are run, and how each is installed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """One shipped test suite on one version of SQLAlchemy.

    ``install`` holds pip arguments; ``{source}`` stands for the unpacked source distribution.
    """

    name: str
    distribution: str
    requirement: str
    install: tuple[str, ...]
    minimum_python: tuple[int, int]
    compile_translations: bool = False


SUITES = (
    # The source distribution of `flask-security-too` 5.9 calls itself `flask-security` in its
    # metadata, which pip refuses; the same release is published under that name too.
    Suite(
        name="flask-security",
        distribution="flask-security",
        requirement="flask-security==5.9.*",
        install=("--group", "{source}/pyproject.toml:tests", "{source}"),
        minimum_python=(3, 11),
        compile_translations=True,
    ),
    Suite(
        name="flask-sqlalchemy",
        distribution="flask-sqlalchemy",
        requirement="flask-sqlalchemy==3.1.1",
        install=("-r", "{source}/requirements/tests.in", "{source}", "sqlalchemy>=2.0.36,<2.1"),
        minimum_python=(3, 10),
    ),
    Suite(
        name="flask-sqlalchemy-on-2.1",
        distribution="flask-sqlalchemy",
        requirement="flask-sqlalchemy==3.1.1",
        install=("-r", "{source}/requirements/tests.in", "{source}", "sqlalchemy>=2.1"),
        minimum_python=(3, 10),
    ),
)
