"""A controller in which nothing can be written but the artifacts: ansible-runner's layout, a read-only project, a read-only HOME."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doors import BIN, REPOSITORY, local
from lab import checkout
from lab.desk import blocks

(COMMAND,) = [each.text for each in blocks(REPOSITORY / "docs/operating/awx.md") if each.text.startswith("ansible-runner")]
(LAYOUT,) = [each.text for each in blocks(REPOSITORY / "docs/operating/awx.md") if each.text.startswith("private/")]
# In a mount namespace of its own, as root passes over the bits of modes.
READ_ONLY = 'for place; do mount --bind "$place" "$place" && mount -o remount,bind,ro "$place" || exit 99; done'


def test_only_artifacts_are_written(tmp_path: Path) -> None:
    pytest.importorskip("ansible_runner", reason="ansible-runner is not installed: make venv")
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    private, home = tmp_path / "private", tmp_path / "home"
    for folder in (private / "project", private / "inventory", private / "env", private / "artifacts", home):
        folder.mkdir(parents=True)
    checkout.copy(private / "project", "playbooks", "ansible_collection", "controller", "pyproject.toml")
    (private / "inventory/hosts").write_text(local("here") + "\n")
    (private / "env/extravars").write_text(re.search(r"env/extravars +(.*)", LAYOUT).group(1) + "\n")
    home_of_ansible = re.search(r"ANSIBLE_HOME: (.*)", LAYOUT).group(1)
    (private / "env/envvars").write_text("ANSIBLE_HOME: %s\nPIDHYGIENE_STORE: %s\n" % (home_of_ansible.replace("/tmp", str(tmp_path)), private / "artifacts/fleet.db"))
    (private / "env/cmdline").write_text("--forks 2 -e ansible_remote_tmp=%s/remote\n" % tmp_path)  # the audited host is this one, with the HOME of the controller
    typed = COMMAND.strip().replace("ansible-runner", f"{sys.executable} -m ansible_runner").replace(" private ", f" {private} ")
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", f"{READ_ONLY}; exec {typed}", "runner", private / "project", home],
                          cwd=tmp_path, env=dict(os.environ, HOME=str(home), PATH="%s:%s" % (BIN, os.environ["PATH"]), LC_ALL="C.UTF-8"),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = private / "artifacts/pidhygiene-report"
    assert json.loads((report / "results/here.json").read_text())["audit"]["errors"] == [] and (report / "report.html").exists()
    assert (private / "artifacts/fleet.db").stat().st_size > 0
    assert list(home.iterdir()) == [] and not (private / "project/pidhygiene-report").exists()
