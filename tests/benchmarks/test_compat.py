"""What counts as a new failure when a foreign suite is run twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.compat.report import ALREADY_WIRED, Comparison, render
from benchmarks.compat.runs import Run, read_report
from benchmarks.compat.suites import SUITES

if TYPE_CHECKING:
    from pathlib import Path

REPORT = """<testsuites><testsuite>
<testcase classname="tests.test_a" name="test_ok"/>
<testcase classname="tests.test_a" name="test_bad"><failure message="no"/></testcase>
<testcase classname="tests.test_a" name="test_skipped"><skipped message="why"/></testcase>
<testcase classname="tests.test_a" name="test_torn"/>
<testcase classname="tests.test_a" name="test_torn"><error message="in teardown"/></testcase>
</testsuite></testsuites>"""


def compared(without: dict[str, str], wired: dict[str, str], **apps: int) -> Comparison:
    return Comparison(SUITES[0], "versions", Run(without, {}), Run(wired, {}, apps))


def test_a_report_is_read_with_the_worst_outcome_of_each_test(tmp_path: Path) -> None:
    """A test that passes and whose teardown fails is listed twice by pytest, and is an error."""
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    assert read_report(report).outcomes == {
        "tests.test_a::test_ok": "passed",
        "tests.test_a::test_bad": "failed",
        "tests.test_a::test_skipped": "skipped",
        "tests.test_a::test_torn": "error",
    }


def test_a_test_that_passed_has_to_pass_again() -> None:
    """Failing, being skipped and being gone are new failures; failing before is not."""
    without = {"a": "passed", "b": "passed", "c": "passed", "d": "passed", "old": "failed"}
    wired = {"a": "passed", "b": "failed", "c": "skipped", "old": "failed"}
    assert compared(without, wired, apps=1).new_failures == ["b", "c", "d"]


def test_a_run_that_wired_no_app_proves_nothing() -> None:
    """Apps that were wired before do not count either."""
    comparison = compared({"a": "passed"}, {"a": "passed"}, **{ALREADY_WIRED: 3})
    assert any("no app was wired" in problem for problem in comparison.problems)


def test_an_empty_run_is_a_problem() -> None:
    """A suite that could not be collected at all is no success."""
    assert compared({}, {}).problems


def test_the_page_names_each_new_failure() -> None:
    """The table counts, the list below it names."""
    page = render([compared({"t::a": "passed"}, {"t::a": "failed"}, apps=2)])
    assert "| with | 0 | 1 | 0 | 0 | 2 | 0 | 1 |" in page
    assert "- `t::a` (failed): no reason given" in page
