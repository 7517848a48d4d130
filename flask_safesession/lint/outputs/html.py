"""A report as one page for people: by rule, file and function, with the code around each finding.

The page needs nothing else: no network, no script. Its policy forbids both, so that a name in the checked code could
not bring them in even if it got past the escaping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from html import escape
from itertools import groupby
from string import Template

from ..catalogue import catalogue
from ..explain import page
from ..findings import LEVELS, Finding
from ..report import Report, Sources
from ..rules import Rule
from .text import summary

__all__ = ["render"]

_AROUND = 3
_WIDEST = 400

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>Session findings</title>
<style>
$style
</style>
</head>
<body>
<header>
<h1>Session findings</h1>
<p>$summary</p>
$tiles
</header>
<main>
$contents
$rules
</main>
<footer>Made by Flask-SafeSession.</footer>
</body>
</html>
""")

_STYLE = """\
:root { --page: #fbfbfa; --card: #fff; --text: #1d2127; --soft: #5b6470; --line: #dfe3e8; --code: #f4f5f7;
  --mark: #fff3c4; --error: #b3261e; --warning: #8a5a00; --note: #2d5f9a; --link: #1f5fae; }
@media (prefers-color-scheme: dark) { :root { --page: #15181c; --card: #1d2126; --text: #e4e7eb; --soft: #9aa4b1;
  --line: #343b44; --code: #16191d; --mark: #4a3f14; --error: #ff8a80; --warning: #f0b849; --note: #8ab8f0;
  --link: #8ab8f0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 70rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
a { color: var(--link); }
h1 { margin: 0; font-size: 1.7rem; }
h2 { margin: 2.5rem 0 0.25rem; font-size: 1.3rem; }
h3 { margin: 1.5rem 0 0.5rem; font-size: 1rem; overflow-wrap: anywhere; }
h4 { margin: 1rem 0 0.4rem; font-size: 0.95rem; font-weight: 600; color: var(--soft); overflow-wrap: anywhere; }
header p, .rule-summary, footer { color: var(--soft); margin: 0.25rem 0 0.75rem; }
footer { margin-top: 3rem; font-size: 0.85rem; }
code, pre, .place { font-family: ui-monospace, Consolas, monospace; font-size: 0.85rem; }
.tiles { display: flex; gap: 0.75rem; flex-wrap: wrap; margin: 0; padding: 0; list-style: none; }
.tiles li { border: 1px solid var(--line); background: var(--card); border-radius: 8px; padding: 0.5rem 1rem; }
.tiles b { display: block; font-size: 1.5rem; line-height: 1.2; }
table { border-collapse: collapse; width: 100%; background: var(--card); margin: 1.5rem 0 0; }
th, td { text-align: left; padding: 0.4rem 0.75rem; border: 1px solid var(--line); overflow-wrap: anywhere; }
td.count, th.count { text-align: right; width: 7rem; overflow-wrap: normal; }
article { border: 1px solid var(--line); border-left: 4px solid; border-radius: 8px; background: var(--card);
  padding: 0.75rem 1rem; margin: 0 0 1rem; }
article p { margin: 0 0 0.5rem; overflow-wrap: anywhere; }
.error { border-left-color: var(--error); } .warning { border-left-color: var(--warning); }
.note { border-left-color: var(--note); }
.level { font-weight: 700; margin-right: 0.5rem; }
.error .level, .tiles .error b { color: var(--error); } .warning .level, .tiles .warning b { color: var(--warning); }
.note .level, .tiles .note b { color: var(--note); }
.place { color: var(--soft); }
ol { margin: 0 0 0.5rem; padding-left: 1.5rem; overflow-wrap: anywhere; }
pre { background: var(--code); border: 1px solid var(--line); border-radius: 6px; margin: 0; padding: 0.5rem 0;
  overflow-x: auto; }
pre span { display: block; padding: 0 0.75rem; min-width: max-content; }
pre span.found { background: var(--mark); }
pre i { display: inline-block; width: 4ch; margin-right: 1.5ch; text-align: right; font-style: normal;
  color: var(--soft); user-select: none; }
@media print { body { max-width: none; } article { break-inside: avoid; } pre { white-space: pre-wrap; } }"""


def render(report: Report) -> str:
    """Return the page."""
    return _PAGE.substitute(
        style=_STYLE,
        summary=escape(summary(report)),
        tiles=_tiles(report.shown),
        contents=_contents(report),
        rules="\n".join(_rules(report)),
    )


def _tiles(findings: Iterable[Finding]) -> str:
    levels = [each.level for each in findings]
    tiles = (
        f'<li class="{level}"><b>{number}</b> {level if number == 1 else f"{level}s"}</li>'
        for level in LEVELS
        if (number := levels.count(level))
    )
    return f'<ul class="tiles">{"".join(tiles)}</ul>'


def _contents(report: Report) -> str:
    """The rules that found something, the errors first, each with a link to its findings."""
    if not report.shown:
        return ""
    rows = (
        f'<tr><td><a href="#{rule.id}">{rule.id}</a></td><td>{escape(rule.summary)}</td>'
        f'<td class="count">{len(findings)}</td></tr>'
        for rule, findings in _by_rule(report)
    )
    head = '<tr><th>Rule</th><th>What it finds</th><th class="count">Findings</th></tr>'
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _rules(report: Report) -> Iterator[str]:
    for rule, findings in _by_rule(report):
        yield f'<section id="{rule.id}">'
        yield f"<h2>{rule.id} {escape(rule.slug)} <small>({len(findings)})</small></h2>"
        yield f'<p class="rule-summary">{escape(rule.summary)}</p>'
        yield "<details><summary>About this rule</summary>"
        yield f'<pre class="page">{escape(page(rule))}</pre></details>'
        yield from _files(findings, report.sources)
        yield "</section>"


def _by_rule(report: Report) -> list[tuple[Rule, list[Finding]]]:
    groups = [
        (rule, [each for each in report.shown if each.rule == rule.id]) for rule in catalogue()
    ]
    found = [(rule, findings) for rule, findings in groups if findings]
    return sorted(found, key=lambda group: min(LEVELS.index(each.level) for each in group[1]))


def _files(findings: Iterable[Finding], sources: Sources) -> Iterator[str]:
    for path, in_file in _grouped(findings, lambda each: each.path):
        yield f"<h3>{escape(sources.shown(path))}</h3>"
        for function, in_function in _grouped(in_file, lambda each: each.function):
            name = f"<code>{escape(function)}</code>" if function else "at module level"
            yield f"<h4>{name}</h4>"
            for finding in in_function:
                yield from _article(finding, sources)


def _grouped(
    findings: Iterable[Finding], key: Callable[[Finding], str]
) -> Iterator[tuple[str, list[Finding]]]:
    for name, group in groupby(sorted(findings, key=key), key):
        yield name, list(group)


def _article(finding: Finding, sources: Sources) -> Iterator[str]:
    yield f'<article class="{finding.level}">'
    yield (
        f'<p><span class="level">{finding.level}</span>{escape(finding.message)} '
        f'<span class="place">line {finding.line}</span></p>'
    )
    if finding.steps:
        steps = "".join(_step(each.path, each.line, each.text, sources) for each in finding.steps)
        yield f"<ol>{steps}</ol>"
    if finding.call:
        yield f"<p><b>Instead:</b> {escape(finding.call)}</p>"
    yield _code(finding, sources.lines(finding.path))
    yield "</article>"


def _step(path: str, line: int, text: str, sources: Sources) -> str:
    place = f'<span class="place">{escape(sources.shown(path))}:{line}</span>'
    return f"<li>{escape(text)} {place}</li>"


def _code(finding: Finding, lines: list[str]) -> str:
    """The lines around the finding; nothing where the file can no longer be read."""
    last = max(finding.line, min(finding.end_line, finding.line + 2 * _AROUND))
    numbers = range(max(1, finding.line - _AROUND), min(len(lines), last + _AROUND) + 1)
    rows = (_row(number, lines[number - 1], finding.line <= number <= last) for number in numbers)
    code = "".join(rows)
    return f"<pre>{code}</pre>" if code else ""


def _row(number: int, line: str, is_found: bool) -> str:
    css = ' class="found"' if is_found else ""
    text = line.rstrip() if len(line) <= _WIDEST else f"{line[:_WIDEST]} …"
    return f"<span{css}><i>{number}</i>{escape(text)}</span>"
