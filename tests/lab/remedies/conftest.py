"""A host that has Salt, and both doors to it."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(f"{__package__}.doors")

from ..auditing import install  # noqa: E402
from ..host import LabHost  # noqa: E402
from ..test_salt_on_hosts import salted  # noqa: E402, F401  the tree with Salt in it
from .doors import DOORS, Door  # noqa: E402


@pytest.fixture(params=sorted(DOORS))
def door(request, new_host, salted) -> Door:  # noqa: F811
    """A fresh host with the engine on it, reached through Ansible, then another one through Salt."""
    host = new_host._stack.enter_context(LabHost.boot(salted, f"remedy-{request.param}"))
    new_host.hosts.append(host)
    install(host)
    return DOORS[request.param](host)


@pytest.fixture
def engine_host(new_host) -> LabHost:
    """A fresh host with the engine on it and no door."""
    host = new_host()
    host.run(["systemctl", "stop", "supervisor"])  # it may still be about to make its log
    install(host)
    return host
