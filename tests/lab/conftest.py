"""Load the lab's fixtures; a conftest.py at the top may have done so already, and a second time would start every host twice."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin(f"{__package__}.fixtures")
