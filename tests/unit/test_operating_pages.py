"""Pages for operators say what is so: every setting of a policy, what the store weighs, links that lead somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pidhygiene.policy import SETTINGS, Policy
from pidhygiene.schema import policy_schema

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted((REPOSITORY / "docs" / "operating").glob("*.md"))
POLICY = (REPOSITORY / "docs/operating/policy.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", POLICY, re.M | re.S)


def default_of(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "empty"
    return {"None": "unset", "False": "false", "{}": "empty"}.get(str(value), str(value))


def test_the_page_of_the_policy_names_every_setting_with_its_default() -> None:
    shown: dict[str, str] = {}
    for example in EXAMPLES:
        family, note = "", ""
        for line in example.splitlines():
            key = re.match(r"( *)([a-z_]+):", line)
            if line.lstrip().startswith("#"):
                note = line.partition("# ")[2]
            elif key and not key.group(1):
                family = key.group(2)
                shown[family] = note
            elif key and len(key.group(1)) == 2:
                shown[f"{family}.{key.group(2)}"] = note
    for setting in SETTINGS:
        assert setting.key in shown, f"docs/operating/policy.md has no example of {setting.key}"
        if setting.key != "waivers":
            assert re.match(re.escape(default_of(setting.default)) + r"($|[; ])", shown[setting.key]), (setting.key, shown[setting.key])
            assert setting.help in shown[setting.key], setting.key


def test_its_examples_are_policies() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    assert len(EXAMPLES) == 2
    for example in EXAMPLES:
        document = yaml.safe_load(example)
        Policy(document)
        jsonschema.Draft202012Validator(policy_schema()).validate(document)
    everything = yaml.safe_load(EXAMPLES[0])
    policy = Policy(everything)
    assert [setting.key for setting in SETTINGS if setting.key != "waivers" and policy[setting.key] == setting.default] == [], "an example of a default shows nothing"


def test_the_store_takes_no_more_than_the_page_of_sizes_says(tmp_path: Path) -> None:
    from benchmarks import fleet_store

    hosts, runs = 50, 10
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(str(REPOSITORY / place) for place in fleet_store.PLACES))
    subprocess.run([sys.executable, "-c", fleet_store.FILL, str(tmp_path / "store.db"), str(hosts), str(runs)], env=environment, check=True, stdout=subprocess.DEVNULL)
    weight = sum(path.stat().st_size for path in tmp_path.iterdir()) / 1024 / hosts / runs
    page = (REPOSITORY / "docs/operating/sizing.md").read_text(encoding="utf-8")
    told = float(re.search(r"([\d.]+) KB for each host and run", page).group(1))
    assert 0.5 * told < weight < 1.15 * told  # few hosts share fewer texts than many


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]*)(#[^)]*)?\)", page.read_text(encoding="utf-8")):
        path, anchor = target
        if "://" in path:
            continue
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name}: {path}"
        if anchor and found.suffix == ".md":
            headings = {re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in found.read_text(encoding="utf-8").splitlines() if line.startswith("#")}
            assert anchor[1:] in headings, f"{page.name}: {path}{anchor}"


def test_every_page_is_in_the_list() -> None:
    listed = (REPOSITORY / "docs/operating/README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.name != "README.md" and f"({page.name})" not in listed] == []


def test_json_of_the_schema_is_what_the_page_says(tmp_path: Path) -> None:
    code = re.search(r"python -c '(.*)' > policy.schema.json", POLICY).group(1)
    done = subprocess.run([sys.executable, "-c", code], env=dict(os.environ, PYTHONPATH=str(REPOSITORY / "ansible_collection/plugins/module_utils")), capture_output=True, check=True)
    assert json.loads(done.stdout) == json.loads(json.dumps(policy_schema()))
