"""What all tests share: `import needs`, and the real Kafka broker of `kafka_server`."""

import os
import sys
from pathlib import Path

import pytest

# Tests are imported by their paths (importlib mode), so this folder is not on sys.path by itself.
sys.path.insert(0, str(Path(__file__).parent))

pytest_plugins = ["kafka_server", "tiny_bundle", "untrained_run"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With VIGIE_NO_SKIP=1 a run that skipped anything, however it did, has failed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("VIGIE_NO_SKIP") == "1" and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
