"""A page for each rule, for people; what it says of ids, severities, settings and defaults is what the code says."""

import ast
import json
import pathlib
import re
import subprocess

import pytest
from pidhygiene import __main__ as command
from pidhygiene import pages, policy, terminal
from pidhygiene.fleet_rules import FLEET_RULES
from pidhygiene.rules.catalogue import RULES as HOST_RULES

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "docs" / "rules"
ENGINE = REPOSITORY / "ansible_collection" / "plugins" / "module_utils" / "pidhygiene"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("PH-*.md"))}
RULES = HOST_RULES + FLEET_RULES
BY_ID = {rule.id: rule for rule in RULES}
HEADINGS = ["What it checks", "Why it matters", "When it stays silent", "When it says unknown or n/a", "How to fix it", "See for yourself", "References"]
SETTING = re.compile(r"`policy: ([^`=]+?)(?: = ([^`]+))?`")
RULE_ID = re.compile(r"\bPH-[A-Z]+-\d{3}\b")


def sections(text):
    return dict(re.findall(r"(?ms)^## (.+?)\n\n(.*?)(?=^## |\Z)", text))


def settings(text):
    return [(key, value or None) for key, value in SETTING.findall(" ".join(text.split()))]


def test_every_rule_has_a_page_and_no_other_page_exists():
    assert set(PAGES) == set(BY_ID)
    assert {path.name for path in FOLDER.iterdir()} == {"README.md"} | {name + ".md" for name in PAGES}


@pytest.mark.parametrize("name", sorted(set(PAGES) & set(BY_ID)))
def test_a_page_begins_with_what_the_catalogue_says(name):
    rule = BY_ID[name]
    assert PAGES[name].split("\n\n")[:2] == ["# %s %s" % (name, rule.title), "**%s**: %s." % (rule.severity, rule.because)]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_has_all_headings_and_is_short(name):
    text = PAGES[name]
    assert re.findall(r"(?m)^## (.+)$", text) == HEADINGS
    for heading, section in sections(text).items():
        assert len(section.split()) >= 2, heading
    assert "```" in sections(text)["See for yourself"], "commands to type"
    assert 25 <= text.count("\n") <= 75
    outside = re.sub(r"(?ms)^```.*?^```$", "", text)
    assert max(map(len, outside.splitlines())) <= 200
    assert re.findall(r"(?m)^```\w+|^ *[*+] |^\d+\. |^\||^###", text) == [], "terminal.page knows headings, paragraphs, lists with a dash, and plain blocks of code"


@pytest.mark.parametrize("name", sorted(PAGES) + ["README"])
def test_a_page_names_what_exists(name):
    text = PAGES[name] if name in PAGES else (FOLDER / "README.md").read_text(encoding="utf-8")
    assert set(RULE_ID.findall(text)) <= set(BY_ID)
    for label, target in re.findall(r"\[([^\]]+)\]\(([^)\s]+)\)", text):
        assert target.startswith("https://") or (FOLDER / target).is_file() and target == label + ".md", target
    for key, value in settings(text):
        assert key in policy.BY_KEY, key
        if value is not None:
            assert float(value) == policy.BY_KEY[key].default, "the default of %s" % key
        else:
            assert not isinstance(policy.BY_KEY[key].default, float) and policy.BY_KEY[key].kind not in ("count", "seconds", "days", "share"), "a default of " + key
    assert not re.search(r"\bRULES\b|/work/|\.py\b", text), "what only the source knows"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_what_is_to_be_typed_is_understood_by_a_shell(name):
    for block in re.findall(r"(?ms)^```\n(.*?)^```$", sections(PAGES[name])["See for yourself"]):
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def functions(path):
    return {node.name: node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def keys_read(rule):
    """Settings that a rule, and the functions of its file that it calls, read."""
    if rule in FLEET_RULES:
        return keys_of_fleet_rule(rule.id)
    known = functions(ENGINE / "rules" / (rule.judge.__module__.rsplit(".", 1)[1] + ".py"))
    found, seen, waiting = set(), set(), [rule.judge.__name__]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in known:
            continue
        seen.add(name)
        for node in ast.walk(known[name]):
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "policy":
                found.update(each.value for each in ast.walk(node.slice) if isinstance(each, ast.Constant))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                waiting.append(node.func.id)
    return found


def keys_of_fleet_rule(name):
    """In its file beside the operator, and in what compares groups, where it uses that."""
    (path,) = [each for each in (REPOSITORY / "controller" / "fleet").glob("*.py") if '@fleet_rule("%s")' % name in each.read_text()]
    text = path.read_text()
    if "import Outlier" in text or "import Register, outliers" in text:
        text += (path.parent / "consensus.py").read_text()
    return set(re.findall(r'policy\["([a-z_.]+)"\]', text))


def test_the_keys_of_a_rule_are_found():
    assert "fleet.minority" in keys_read(BY_ID["PH-FLT-003"]) and "fleet.interval" in keys_read(BY_ID["PH-FLT-008"])
    assert "zombies.fail_share" in keys_read(BY_ID["PH-ZMB-001"]) and not keys_read(BY_ID["PH-ZMB-003"])


@pytest.mark.parametrize("name", sorted(set(PAGES) & set(BY_ID)))
def test_a_page_names_the_settings_that_its_rule_reads(name):
    told = {key for key, _value in settings(PAGES[name])}
    read = keys_read(BY_ID[name])
    if name in ("PH-ZMB-005", "PH-ZMB-007"):  # they read thresholds only to see whether PH-ZMB-001 speaks
        read &= {"zombies.warn_growing"} if name == "PH-ZMB-007" else set()
    assert read <= told, "not told: %s" % sorted(read - told)


def test_the_table_of_rules_is_that_of_the_catalogue():
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| [PH-")]
    assert rows == ["| [%s](%s.md) | %s | %s | %s |" % (rule.id, rule.id, rule.severity, rule.title, rule.because) for rule in RULES]
    families = [line for line in lines if line.startswith("## ")]
    assert len(families) == len({rule.id.rsplit("-", 1)[0] for rule in RULES})


def test_the_front_page_links_the_rules():
    assert "](docs/rules/README.md)" in (REPOSITORY / "README.md").read_text(encoding="utf-8")


# -- where they are found, and how they look --------------------------------------------------------------------------


def run(capsys, *arguments):
    status = command.main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def engine(tmp_path):
    """A file of an engine that was shipped alone."""
    place = tmp_path / "extmods" / "utils" / "pidhygiene"
    place.mkdir(parents=True)
    return place / "pages.py"


def test_pages_of_a_checkout_and_through_its_links():
    assert pages.page("PH-ZMB-001") == PAGES["PH-ZMB-001"]
    assert pages.page("PH-ZMB-001", str(REPOSITORY / "salt_modules" / "_utils" / "pidhygiene" / "pages.py")) == PAGES["PH-ZMB-001"]
    assert pages.page("PH-NOPE-001") is None


def test_pages_beside_an_installed_engine(engine):
    (engine.parent / "rule_pages").mkdir()
    (engine.parent / "rule_pages" / "PH-ZMB-001.md").write_text("# here\n")
    assert pages.page("PH-ZMB-001", str(engine)) == "# here\n"


def test_an_engine_alone_looks_nowhere_else(engine, tmp_path):
    (tmp_path / "docs" / "rules").mkdir(parents=True)
    (tmp_path / "docs" / "rules" / "PH-ZMB-001.md").write_text("not ours")
    assert pages.page("PH-ZMB-001", str(engine)) is None


def test_show_prints_the_page(capsys):
    status, out, err = run(capsys, "rules", "show", "ph-zmb-001")
    assert status == 0 and err == ""
    lines = out.splitlines()
    assert lines[0] == "PH-ZMB-001 Persistent zombies under one parent" and "\x1b" not in out and "```" not in out and "](" not in out
    assert "    systemctl restart VRTSralus.service" in lines, "commands can be copied"
    assert "How to fix it" in lines and "(https://github.com/saltstack/salt/issues/14836)" in out
    assert run(capsys, "rules", "show", "PH-OBS-*")[1].count("How to fix it") == 4


def test_show_without_pages_says_so(capsys, monkeypatch):
    monkeypatch.setattr(pages, "page", lambda _rule: None)
    status, out, _err = run(capsys, "rules", "show", "PH-ZMB-001")
    text = " ".join(out.split())
    assert status == 0 and "PH-ZMB-001 Persistent zombies under one parent" in text and "CRIT: they exhaust user" in text
    assert "not installed" in text and "docs/rules" in text
    assert json.loads(run(capsys, "rules", "show", "PH-ZMB-001", "--format", "json")[1])[0]["page"] is None


def test_show_for_machines(capsys):
    (answer,) = json.loads(run(capsys, "rules", "show", "PH-TZ-001", "--format", "json")[1])
    assert answer["page"] == PAGES["PH-TZ-001"] and answer["severity"] == "HIGH" and answer["because"]


@pytest.mark.parametrize("arguments", [("rules", "show", "PH-NOPE-001"), ("rules", "show", "../../etc/passwd"), ("rules", "list", "PH-NOPE"),
                                       ("rules", "list", "--family", "NOPE")])
def test_what_is_no_rule(capsys, arguments):
    status, out, err = run(capsys, *arguments)
    assert status == 2 and out == "" and err.startswith("pidhygiene: no rule matches")


@pytest.mark.parametrize("arguments, found", [
    (("rules",), lambda rule: True), (("rules", "list"), lambda rule: True),
    (("rules", "list", "--family", "zmb"), lambda rule: rule.id.startswith("PH-ZMB-")),
    (("rules", "list", "--family", "ZMB", "--family", "OBS"), lambda rule: rule.id[3:6] in ("ZMB", "OBS")),
    (("rules", "list", "ph-*-001"), lambda rule: rule.id.endswith("001")),
    (("rules", "list", "PH-TZ-001", "--family", "OBS"), lambda rule: rule.id.startswith("PH-OBS-") or rule.id == "PH-TZ-001")])
def test_the_list_is_filtered(capsys, arguments, found):
    expected = [rule.id for rule in RULES if found(rule)]
    assert RULE_ID.findall(run(capsys, *arguments)[1]) == expected
    assert [row["rule"] for row in json.loads(run(capsys, *arguments, "--format", "json")[1])] == expected


def test_the_format_may_stand_before_the_action(capsys):
    assert json.loads(run(capsys, "rules", "--format", "json", "list", "PH-TZ-001")[1])[0]["rule"] == "PH-TZ-001"


def test_explain_of_a_rule_ends_with_where_to_read_more(capsys):
    assert " ".join(run(capsys, "explain", "PH-ZMB-001")[1].split()).endswith("pidhygiene rules show PH-ZMB-001")


def test_a_page_in_a_terminal():
    text = "# PH-A-001 Title\n\n**CRIT**: because\nof it.\n\n## How to fix it\n\n- a long item with [PH-B-001](PH-B-001.md) that goes on\n  here;\n- two\n\n" \
           "After [an issue](https://example.org/1):\n\n```\n# no heading, **not bold**\n\n  indented   code\n```\n\nEnd\n"
    plain = terminal.page(text, terminal.Style(False, 60))
    assert plain == ("PH-A-001 Title\n\nCRIT: because of it.\n\nHow to fix it\n\n- a long item with PH-B-001 that goes on here;\n- two\n\n"
                     "After an issue (https://example.org/1):\n\n    # no heading, **not bold**\n\n      indented   code\n\nEnd\n")
    coloured = terminal.page(text, terminal.Style(True, 60))
    assert "\x1b[1mHow to fix it\x1b[0m" in coloured and re.sub("\x1b\\[[0-9;]*m", "", coloured) == plain
    long = terminal.page("- " + "word " * 30, terminal.Style(False, 60)).splitlines()
    assert len(long) > 1 and all(line.startswith("  word") for line in long[1:])


def test_every_page_fits_a_terminal():
    for name, text in PAGES.items():
        shown = terminal.page(text, terminal.Style(False, 80))
        assert max(len(line) for line in shown.splitlines() if not line.startswith("    ") and "://" not in line) <= 80, name
