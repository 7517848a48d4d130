"""A report as SARIF: what code scanning needs is there, and survives that lines move."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from flask_safesession.lint.catalogue import catalogue
from flask_safesession.lint.explain import page
from flask_safesession.lint.findings import Finding, Step
from flask_safesession.lint.outputs import sarif
from flask_safesession.lint.suppressions import Silenced

from .shell import LEAK, finding, report, write

# For each object of the log: its required properties, and the others that SARIF 2.1.0 allows and we use. The schema of
# the standard (errata 01) closes every object with "additionalProperties": false, so a typing error would be refused.
SHAPES = {
    "log": ({"version", "runs"}, {"$schema"}),
    "run": ({"tool"}, {"results", "columnKind", "originalUriBaseIds", "invocations"}),
    "driver": ({"name"}, {"version", "rules"}),
    "rule": (
        {"id"},
        {
            "name",
            "shortDescription",
            "fullDescription",
            "help",
            "defaultConfiguration",
            "properties",
        },
    ),
    "result": (
        {"message"},
        {
            "ruleId",
            "ruleIndex",
            "level",
            "locations",
            "partialFingerprints",
            "codeFlows",
            "suppressions",
        },
    ),
    "location": (set(), {"physicalLocation", "logicalLocations", "message"}),
    "physical": ({"artifactLocation"}, {"region"}),
    "artifact": (set(), {"uri", "uriBaseId", "description"}),
    "region": (set(), {"startLine", "startColumn", "endLine", "endColumn"}),
    "logical": (set(), {"fullyQualifiedName", "kind"}),
    "codeFlow": ({"threadFlows"}, set()),
    "threadFlow": ({"locations"}, set()),
    "threadFlowLocation": (set(), {"location"}),
    "suppression": ({"kind"}, {"status", "justification"}),
    "message": ({"text"}, set()),
}


def _log(root: Path, *findings: Finding, silenced: tuple[Silenced, ...] = ()) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(sarif.render(report(root, *findings, silenced=silenced)))
    return log


def _results(root: Path, *findings: Finding, **more: Any) -> list[Any]:
    results: list[Any] = _log(root, *findings, **more)["runs"][0]["results"]
    return results


def _locations(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from result["locations"]
    for flow in result.get("codeFlows", ()):
        for thread in flow["threadFlows"]:
            yield from (each["location"] for each in thread["locations"])


def _objects(log: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of *log* with the name of its shape."""
    yield "log", log
    for run in log["runs"]:
        driver = run["tool"]["driver"]
        yield from (("run", run), ("driver", driver))
        for rule in driver["rules"]:
            yield "rule", rule
            yield from (
                ("message", rule[key]) for key in ("shortDescription", "fullDescription", "help")
            )
        yield from (("artifact", each) for each in run["originalUriBaseIds"].values())
        for result in run["results"]:
            yield from (("result", result), ("message", result["message"]))
            yield from (("suppression", each) for each in result.get("suppressions", ()))
            yield from _flows(result)
            for location in _locations(result):
                physical = location["physicalLocation"]
                yield from (("location", location), ("physical", physical))
                yield from (
                    ("artifact", physical["artifactLocation"]),
                    ("region", physical["region"]),
                )
                yield from (("logical", each) for each in location.get("logicalLocations", ()))


def _flows(result: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for flow in result.get("codeFlows", ()):
        yield "codeFlow", flow
        for thread in flow["threadFlows"]:
            yield "threadFlow", thread
            yield from (("threadFlowLocation", each) for each in thread["locations"])


def test_each_object_has_what_the_standard_wants(tmp_path: Path) -> None:
    """All required properties, and none that SARIF 2.1.0 does not know."""
    silenced = (Silenced(finding(line=9), "inSource", "why"),)
    objects = list(_objects(_log(tmp_path, finding(), silenced=silenced)))
    assert {name for name, _ in objects} == set(SHAPES)
    wrong = [
        (
            name,
            sorted(SHAPES[name][0] - each.keys()),
            sorted(each.keys() - set.union(*SHAPES[name])),
        )
        for name, each in objects
    ]
    assert [each for each in wrong if each[1] or each[2]] == []


def test_the_values_are_of_the_standard(tmp_path: Path) -> None:
    """Where the schema has a list of words, or a smallest number."""
    log = _log(tmp_path, finding(level="note"), finding(level="error"))
    [run] = log["runs"]
    regions = [each for name, each in _objects(log) if name == "region"]
    assert (log["version"], run["columnKind"]) == ("2.1.0", "unicodeCodePoints")
    assert {each["level"] for each in run["results"]} <= {"none", "note", "warning", "error"}
    assert min(number for region in regions for number in region.values()) >= 1


def test_every_rule_is_described(tmp_path: Path) -> None:
    """In the order that results point to, with its page as help."""
    rules = _log(tmp_path)["runs"][0]["tool"]["driver"]["rules"]
    assert [each["id"] for each in rules] == [rule.id for rule in catalogue()]
    assert [each["help"]["text"] for each in rules] == [page(rule) for rule in catalogue()]


def test_a_result_points_to_its_rule(tmp_path: Path) -> None:
    """By id and by index."""
    log = _log(tmp_path, finding(rule="TXN502"))
    [result] = log["runs"][0]["results"]
    rule = log["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]
    assert (result["ruleId"], rule["id"]) == ("TXN502", "TXN502")


def test_a_place_is_relative_to_the_top_of_the_repository(tmp_path: Path) -> None:
    """Its name is encoded as a URI."""
    (tmp_path / ".git").mkdir()
    [result] = _results(tmp_path / "back end", finding("app/ä#.py"))
    [location] = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "back%20end/app/%C3%A4%23.py", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 7, "startColumn": 5, "endLine": 7, "endColumn": 29},
    }
    assert location["logicalLocations"] == [{"fullyQualifiedName": "report", "kind": "function"}]


def test_a_place_elsewhere_is_a_whole_uri(tmp_path: Path) -> None:
    """A relative one would lie."""
    [result] = _results(tmp_path / "a", finding("../b/x.py", function=""))
    [location] = result["locations"]
    artifact = location["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": f"file://{(tmp_path / 'b' / 'x.py').as_posix()}"}
    assert "logicalLocations" not in location


def test_the_steps_are_a_code_flow(tmp_path: Path) -> None:
    """In their order."""
    steps = (Step("app/db.py", 3, "it is made"), Step("app/views.py", 9, "it is left open"))
    [result] = _results(tmp_path, finding(steps=steps))
    [flow] = result["codeFlows"]
    [thread] = flow["threadFlows"]
    seen = [each["location"] for each in thread["locations"]]
    assert [
        (
            each["physicalLocation"]["artifactLocation"]["uri"],
            each["physicalLocation"]["region"],
            each["message"]["text"],
        )
        for each in seen
    ] == [
        ("app/db.py", {"startLine": 3}, "it is made"),
        ("app/views.py", {"startLine": 9}, "it is left open"),
    ]
    assert "codeFlows" not in _results(tmp_path, finding(steps=()))[0]


def test_what_is_accepted_is_there_with_its_reason(tmp_path: Path) -> None:
    """A code host closes the alert, and shows why."""
    silenced = (
        Silenced(finding(line=3), "inSource", "it is closed by the caller"),
        Silenced(finding(line=5), "external", "It was there."),
    )
    results = _results(tmp_path, finding(line=4), silenced=silenced)
    assert [each.get("suppressions") for each in results] == [
        [
            {
                "kind": "inSource",
                "status": "accepted",
                "justification": "it is closed by the caller",
            }
        ],
        None,
        [{"kind": "external", "status": "accepted", "justification": "It was there."}],
    ]


def _print(root: Path, *findings: Finding) -> list[str]:
    return [
        each["partialFingerprints"]["primaryLocationLineHash"] for each in _results(root, *findings)
    ]


def test_the_fingerprint_survives_that_lines_move(tmp_path: Path) -> None:
    """And that the code is indented anew, or the file renamed."""
    lines = LEAK.splitlines()
    moved = "\n".join([*lines[:5], "", "", *(f"    {line}" for line in lines[5:])])
    write(tmp_path, {"a.py": LEAK, "b.py": moved})
    assert _print(tmp_path, finding("a.py", 7)) == _print(tmp_path, finding("b.py", 9))


def test_the_fingerprint_tells_findings_apart(tmp_path: Path) -> None:
    """By rule, function, the words of the line, and by counting."""
    write(tmp_path, {"a.py": LEAK})
    prints = _print(
        tmp_path,
        finding("a.py", 7),
        finding("a.py", 7, "TXN502"),
        finding("a.py", 7, function="other"),
        finding("a.py", 8),
    )
    twice = _print(tmp_path, finding("a.py", 7), finding("a.py", 7, column=9))
    assert len(set(prints)) == 4
    assert [each[-2:] for each in twice] == [":1", ":2"]


def test_a_checkout_that_is_not_installed_has_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on the path all the same."""

    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(sarif, "version", version)
    assert "version" not in _log(tmp_path)["runs"][0]["tool"]["driver"]
