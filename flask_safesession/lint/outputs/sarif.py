"""A report as SARIF 2.1.0, the form that code scanning of GitHub and others reads.

See the OASIS standard "Static Analysis Results Interchange Format (SARIF) Version 2.1.0".
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from urllib.parse import quote

from ..catalogue import catalogue
from ..explain import page
from ..findings import Finding, Step
from ..report import Report, Sources, sorted_findings
from ..rules import Rule
from ..suppressions import Silenced

__all__ = ["render"]

_SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_BASE: Final = "%SRCROOT%"

Object = dict[str, Any]


def render(report: Report) -> str:
    """Return the log: every rule, the findings that count, and those that a comment or the baseline accepts."""
    run = {
        "tool": {"driver": _driver()},
        "originalUriBaseIds": {_BASE: {"description": {"text": "The top of the repository."}}},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True}],
        "results": _results(report),
    }
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2) + "\n"


def _driver() -> Object:
    return {
        "name": "Flask-SafeSession",
        **_version(),
        "rules": [_rule(each) for each in catalogue()],
    }


def _version() -> Object:
    try:
        return {"version": version("flask-safesession")}
    except PackageNotFoundError:
        return {}  # a checkout that was put on the path, not installed


def _rule(rule: Rule) -> Object:
    return {
        "id": rule.id,
        "name": "".join(part.title() for part in rule.slug.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.summary},
        "help": {"text": page(rule)},
        "defaultConfiguration": {"level": rule.levels[0]},
        "properties": {"tags": ["sqlalchemy", "transactions"], "problem.severity": _severity(rule)},
    }


def _severity(rule: Rule) -> str:
    """The word for it in code scanning, see "SARIF support for code scanning" in GitHub's documentation."""
    return "recommendation" if rule.levels[0] == "note" else rule.levels[0]


def _results(report: Report) -> list[Object]:
    places = {rule.id: index for index, rule in enumerate(catalogue())}
    accepted = {each.finding: each for each in report.silenced}
    findings = sorted_findings((*report.shown, *accepted))
    results = []
    for finding, fingerprint in zip(findings, _fingerprints(findings, report.sources), strict=True):
        result = _result(finding, report.sources, places[finding.rule], fingerprint)
        if (silenced := accepted.get(finding)) is not None:
            result["suppressions"] = [_suppression(silenced)]
        results.append(result)
    return results


def _result(finding: Finding, sources: Sources, rule_index: int, fingerprint: str) -> Object:
    location = _location(finding.path, _region(finding), sources)
    if finding.function:
        location["logicalLocations"] = [
            {"fullyQualifiedName": finding.function, "kind": "function"}
        ]
    result: Object = {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": finding.level,
        "message": {"text": f"{finding.message} {finding.call}".strip()},
        "locations": [location],
        "partialFingerprints": {
            # The only one that GitHub compares; the second says how it was made.
            "primaryLocationLineHash": fingerprint,
            "safesession/v1": fingerprint,
        },
    }
    if finding.steps:
        result["codeFlows"] = [_code_flow(finding.steps, sources)]
    return result


def _region(finding: Finding) -> Object:
    return {
        "startLine": finding.line,
        "startColumn": finding.column,
        "endLine": finding.end_line,
        "endColumn": finding.end_column,
    }


def _location(path: str, region: Object, sources: Sources) -> Object:
    uri = quote(sources.in_repository(path), safe="/~", errors="surrogateescape")
    artifact = {"uri": f"file://{uri}"} if uri.startswith("/") else {"uri": uri, "uriBaseId": _BASE}
    return {"physicalLocation": {"artifactLocation": artifact, "region": region}}


def _code_flow(steps: Iterable[Step], sources: Sources) -> Object:
    locations = [
        {
            "location": {
                **_location(step.path, {"startLine": step.line}, sources),
                "message": {"text": step.text},
            }
        }
        for step in steps
    ]
    return {"threadFlows": [{"locations": locations}]}


def _suppression(silenced: Silenced) -> Object:
    return {"kind": silenced.kind, "status": "accepted", "justification": silenced.reason}


def _fingerprints(findings: Iterable[Finding], sources: Sources) -> Iterator[str]:
    """What stays the same when lines move or the file is renamed: the rule, the function, and the words of the line.

    The same line twice in one function is told apart by counting, as GitHub's own fingerprints do it.
    """
    seen: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        words = " ".join(sources.line(finding.path, finding.line).split())
        whole = f"{finding.rule}\0{finding.function}\0{words}"
        fingerprint = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        seen[finding.path, fingerprint] += 1
        yield f"{fingerprint}:{seen[finding.path, fingerprint]}"
