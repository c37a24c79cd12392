"""A host that has Salt, and both doors to it."""

from __future__ import annotations

import pytest

from ..auditing import install
from ..test_salt_on_hosts import salted  # noqa: F401  the tree with Salt in it
from ..host import LabHost
from .doors import DOORS, Door


@pytest.fixture(params=sorted(DOORS))
def door(request, new_host, salted) -> Door:  # noqa: F811
    """A fresh host with the engine on it, reached through Ansible, then another one through Salt."""
    host = new_host._stack.enter_context(LabHost.boot(salted, f"remedy-{request.param}"))
    new_host.hosts.append(host)
    install(host)
    return DOORS[request.param](host)
