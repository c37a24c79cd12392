"""One engine, three doors, no copies: what each packager ships is complete, and of one version."""

import ast
import os
import pathlib
import re
import subprocess
import sys
import tarfile

import pidhygiene
import pytest
import yaml
from benchmarks import payload

if sys.version_info >= (3, 11):
    import tomllib

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
COLLECTION = REPOSITORY / "ansible_collection"
ENGINE = COLLECTION / "plugins" / "module_utils" / "pidhygiene"
BIN = pathlib.Path(sys.executable).parent
MOST_SHIPPED = 200 * 1024  # bytes of the engine as Ansible sends it to a host, packed
PAGE = re.compile(r"PH-[A-Z]+-\d+.*\.md$")
NOT_SHIPPED = ("__main__", "terminal", "explain", "pages", "rule_pages", "schema", "fresh", "kept", "watch", "remedies", "fleet_rules")


def project():
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def packages_below(folder, name):
    """Import names of the packages in a folder: folders that hold Python."""
    return {
        ".".join([name, *place.relative_to(folder).parts]) for place in [folder, *(each for each in folder.rglob("*") if each.is_dir())]
        if any(place.glob("*.py"))
    }


def engine_files():
    return {path.relative_to(ENGINE).as_posix() for path in ENGINE.rglob("*.py")}


def test_every_package_is_listed():
    expected = packages_below(ENGINE, "pidhygiene") | packages_below(REPOSITORY / "controller", "pidhygiene.controller") | {"pidhygiene.controller.render"}
    expected |= {name for name in packages_below(REPOSITORY / "salt_modules", "pidhygiene.salt") if "_utils" not in name}
    expected |= {"pidhygiene.rule_pages"}  # holds no code, but data that pip must install
    assert set(project()["tool"]["setuptools"]["packages"]) == expected
    setuptools = project()["tool"]["setuptools"]
    assert setuptools["package-dir"]["pidhygiene.rule_pages"] == "docs/rules" and setuptools["package-data"]["pidhygiene.rule_pages"] == ["*.md"]


def test_versions_agree():
    galaxy = yaml.safe_load((COLLECTION / "galaxy.yml").read_text())
    adapters = [path.read_text() for path in sorted((REPOSITORY / "salt_modules").glob("_*/pidhygiene.py"))]
    assert galaxy["version"] == pidhygiene.__version__
    assert [re.search(r'^WRITTEN_FOR = "(.*)"', adapter, re.M).group(1) for adapter in adapters] == len(adapters) * [pidhygiene.__version__] and len(adapters) >= 4
    assert "## %s" % pidhygiene.__version__ in (REPOSITORY / "CHANGELOG.md").read_text()


def test_the_pip_package_offers_every_kind_of_salt_module():
    namespace = {"__file__": str(REPOSITORY / "salt_modules/__init__.py")}
    exec((REPOSITORY / "salt_modules/__init__.py").read_text(), namespace)
    offered = {kind: [pathlib.Path(folder) for folder in folders] for kind, folders in namespace["loader_dirs"]().items()}
    assert offered == {path.name[1:]: [path] for path in (REPOSITORY / "salt_modules").glob("_*") if path.is_dir() and path.name not in ("_utils", "__pycache__")}


def tracked():
    return subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.rstrip("\0").split("\0")


def test_every_link_resolves_inside_the_repository():
    links = [REPOSITORY / name for name in tracked() if (REPOSITORY / name).is_symlink()]
    assert {link.relative_to(REPOSITORY).as_posix() for link in links} >= {
        "salt_modules/_utils/pidhygiene", "controller/render", "playbooks/collections/ansible_collections/pidhygiene/host"}
    for link in links:
        assert not os.readlink(link).startswith("/"), link
        assert link.exists(), link
        assert REPOSITORY in link.resolve().parents, link


def test_no_link_leaves_the_collection():
    """ansible-galaxy drops such a link with a mere warning."""
    for path in COLLECTION.rglob("*"):
        if path.is_symlink():
            assert COLLECTION in path.resolve().parents, path


def test_the_salt_modules_hold_the_engine():
    assert {path.relative_to(REPOSITORY / "salt_modules/_utils/pidhygiene").as_posix()
            for path in (REPOSITORY / "salt_modules/_utils/pidhygiene").rglob("*.py")} == engine_files()


def test_no_page_of_a_rule_is_shipped():
    """What Salt synchronises and what Ansible searches for imports."""
    for folder in (REPOSITORY / "salt_modules", COLLECTION):
        found = [path for place, folders, files in os.walk(folder, followlinks=True) for path in [*folders, *files] if PAGE.search(path) or path == "rule_pages"]
        assert found == []


def succeed(argv, **options):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **options)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def tarball(tmp_path_factory):
    """The collection as ansible-galaxy builds it from what git knows."""
    place = tmp_path_factory.mktemp("collection")
    for name in subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "ansible_collection"], cwd=REPOSITORY,
                               capture_output=True, text=True, check=True).stdout.splitlines():
        if (REPOSITORY / name).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes((REPOSITORY / name).read_bytes())
    succeed([BIN / "ansible-galaxy", "collection", "build", "--output-path", place, place / "ansible_collection"])
    (built,) = place.glob("*.tar.gz")
    return built


def test_the_collection_holds_every_engine_file(tarball):
    with tarfile.open(tarball) as archive:
        names = {member.name for member in archive.getmembers() if member.isfile()}
    assert {"plugins/module_utils/pidhygiene/" + name for name in engine_files()} <= names
    assert {"plugins/modules/audit_info.py", "plugins/action/audit_info.py", "plugins/plugin_utils/render/page.html.j2", "playbooks/audit.yml",
            "roles/audit/tasks/main.yml", "meta/runtime.yml"} <= names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    assert not [name for name in names if PAGE.search(name)], "pages are read by people at a desk"


@pytest.fixture(scope="module")
def shipped():
    """The engine as Ansible sends it to a host for the audit."""
    return payload.engine(payload.module("pidhygiene.host.audit_info"))


def test_ansible_ships_what_the_audit_imports(shipped):
    assert set(shipped.sources) | {"__init__.py"} == closure("audit", "snapshot")
    assert not [name for name in shipped.sources if not name.endswith(".py")], "the engine's data is Python"


def closure(*starts):
    """Files of the engine that these modules import, followed as Ansible does: every import statement, wherever it stands."""
    found, left = set(), ["__init__.py"] + [start + ".py" for start in starts]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        here = pathlib.PurePosixPath(name).parent
        for node in ast.walk(ast.parse((ENGINE / name).read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = here.joinpath(*[".."] * (node.level - 1))
                base = pathlib.PurePosixPath(os.path.normpath(base / (node.module or "").replace(".", "/")))
                candidates = [base, *(base / alias.name for alias in node.names)]
                left.extend(
                    os.path.normpath(each) for candidate in candidates
                    for each in (f"{candidate}.py", f"{candidate}/__init__.py") if (ENGINE / each).is_file())
    return found


def test_no_more_is_shipped_than_an_audit_needs(shipped):
    assert not [name for name in shipped.sources if name.startswith(NOT_SHIPPED)]
    assert shipped.packed <= MOST_SHIPPED, "%d KiB of engine travel to each host" % (shipped.packed // 1024)


OUTSIDE = {("__main__.py", "yaml"), ("digest.py", "_sha2")}  # where it is installed; of the standard library since 3.12


def test_the_engine_imports_the_standard_library_only():
    for path in sorted(ENGINE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in names:
                assert name.split(".")[0] in sys.stdlib_module_names or (path.name, name) in OUTSIDE, "%s imports %s" % (path, name)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "salt_modules/_modules").glob("*.py")), ids=lambda path: path.name)
def test_every_function_of_salt_shows_how_it_is_called(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            text = ast.get_docstring(node)
            assert re.search(r"CLI Example:\n\n\.\. code-block:: bash\n\n    salt .*pidhygiene\.%s" % node.name, text), node.name
            for argument in node.args.args:
                assert re.search(r"^%s$" % argument.arg, text, re.M), "%s does not explain %s" % (node.name, argument.arg)


@pytest.mark.parametrize("path", sorted(path for folder in ("plugins", "roles", "playbooks") for path in (COLLECTION / folder).rglob("*.py")), ids=lambda path: path.name)
def test_every_python_file_names_its_licence(path):
    head = path.read_text()[:400]
    assert "GNU General Public License v3.0" in head and "SPDX-License-Identifier: GPL-3.0-or-later" in head
