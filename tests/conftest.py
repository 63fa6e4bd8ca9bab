"""``--no-skips``: every test that was collected must have run and passed, so that a machine that lacks something cannot look green."""

from collections.abc import Generator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(
        "--no-skips", action="store_true", help="fail if a test is skipped, deselected or expected to fail"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Watch the session if asked to."""
    if config.getoption("--no-skips"):
        config.pluginmanager.register(NoSkips(), "no-skips")


class NoSkips:
    """Turns skips into failures, and counts: as many must pass as were collected."""

    def __init__(self) -> None:
        self.collected: set[str] = set()
        self.passed: set[str] = set()
        self.said: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """A whole file that skips itself."""
        report = yield
        if report.skipped:
            report.outcome = "failed"
            report.longrepr = f"skipped, against --no-skips: {report.longrepr}"
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """A test that skips itself, or is expected to fail."""
        report = yield
        if report.skipped:
            report.outcome = "failed"
            report.longrepr = f"skipped, against --no-skips: {report.longrepr}"
        return report

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Note what there is, before marks and expressions choose."""
        self.collected.add(item.nodeid)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Choosing by mark is what the caller asked for (``-m cluster``); choosing by name is not."""
        config = items[0].config
        if not config.option.keyword and not config.option.deselect:
            self.collected -= {item.nodeid for item in items}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what passed."""
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Compare."""
        if session.config.option.collectonly:
            return
        if not self.passed:
            self.said.append("no test has passed")
        self.said += [f"did not pass: {name}" for name in sorted(self.collected - self.passed)]
        if self.said:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say why."""
        for line in self.said:
            terminalreporter.write_line(f"--no-skips: {line}", red=True)
