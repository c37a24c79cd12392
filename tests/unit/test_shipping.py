"""What travels to each host is the engine, smaller: it does the same, and its tracebacks lead to the same lines."""

import ast
import base64
import io
import json
import multiprocessing
import pathlib
import subprocess
import sys
import tokenize
import zipfile

import collection
import pytest

collection.install()

from ansible_collections.pidhygiene.host.plugins.plugin_utils.shipping import payload  # noqa: E402
from ansible_collections.pidhygiene.host.plugins.plugin_utils.shipping.bare import bare  # noqa: E402
from ansible_collections.pidhygiene.host.plugins.plugin_utils.shipping.bundle import ENGINE, NoEngine, bundled  # noqa: E402

SOURCES = sorted((pathlib.Path(__file__).parents[2] / "ansible_collection/plugins/module_utils/pidhygiene").rglob("*.py"))
ODD = '''#!/usr/bin/python
# -*- coding: utf-8 -*-
"""Größe
of # the module."""
from os import path  # of paths


class A(object):
    """Holds nöthing."""; x = 1  # one

    def f(self): "inside"; return "# no comment"

    def g(self):  # gives
        """Two
        lines."""
        # nothing else
        return """
# neither is this
""" + '"' + f"{self.x}  # nor this"

    async def h(self):
        r"""Only a \\docstring."""


def last():
    1
    "no docstring"
    # a comment at the end'''


def without_documentation(tree):
    """What runs, and on which line."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Pass()
    return [ast.dump(tree), [(type(node).__name__, node.lineno) for node in ast.walk(tree) if hasattr(node, "lineno")]]


def comments(source):
    return [token.string for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type == tokenize.COMMENT]


@pytest.mark.parametrize("source", [ODD, "", "x = 1\n", *(path.read_text() for path in SOURCES)], ids=["odd", "empty", "small", *(path.name for path in SOURCES)])
def test_bare_source_does_the_same_on_the_same_lines(source):
    made = bare(source)
    assert without_documentation(ast.parse(made)) == without_documentation(ast.parse(source))
    assert not comments(made)
    assert not [node for node in ast.walk(ast.parse(made)) if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node)]


def archive(**sources):
    """A module as Ansible packs it, with an engine of these files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as files:
        def write(name, text):
            files.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)  # with no time of its own

        folder = ""
        for part in ENGINE.split("/")[:-2]:
            folder += part + "/"
            write(folder + "__init__.py", "")
        for name, source in sources.items():
            write(ENGINE + name.replace("__of__", "/") + ".py", source)
        write("main.py", "import json, traceback\nfrom %s import rules, audit, __version__\n" % ENGINE.rstrip("/").replace("/", ".") + MAIN)
    return packed.getvalue()


MAIN = """
try:
    audit.fails()
except ValueError:
    said = traceback.format_exc()
print(json.dumps([rules.NAME, audit.found(), __version__, said, audit.__name__, audit.__package__, rules.__path__]))
"""
ENGINE_FILES = {
    "__init__": '"""An engine."""\n__version__ = "7"\n',
    "audit": '"""Audits."""\nfrom .rules.zombies import found\nfrom . import rules\n\ndef fails():\n    # a comment\n    raise ValueError(rules.NAME)\n',
    "rules__of____init__": "NAME = __name__\n",
    "rules__of__zombies": "from .. import __version__\nfrom . import NAME\n\ndef found():\n    return [NAME, __version__]\n",
}


def run(packed, folder):
    place = folder / "sent.zip"
    place.write_bytes(packed)
    return json.loads(subprocess.run([sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import main", place], capture_output=True, text=True, check=True).stdout)


def test_a_bundle_is_imported_as_the_files_were(tmp_path):
    packed = archive(**ENGINE_FILES)
    before, after = run(packed, tmp_path), run(bundled(packed), tmp_path)
    assert after[:3] == before[:3] == [ENGINE.replace("/", ".") + "rules", [before[0], "7"], "7"]
    assert after[3] == before[3] and 'pidhygiene/audit.py", line 7, in fails\n    raise ValueError(rules.NAME)\n' in after[3]
    assert after[4:6] == before[4:6]
    with zipfile.ZipFile(io.BytesIO(bundled(packed))) as files:
        assert [name for name in files.namelist() if name.startswith(ENGINE)] == [ENGINE + "__init__.py"]


def test_what_is_no_part_of_a_bundle_is_not_found(tmp_path):
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run(bundled(archive(**dict(ENGINE_FILES, audit="from . import nowhere\n"))), tmp_path)
    assert "cannot import name 'nowhere'" in failed.value.stderr


def program(packed):
    return b"#!/usr/bin/python3\nZIPDATA = '%s'\nPARAMS = 'of this host'\n" % base64.b64encode(packed)


BIG = dict(ENGINE_FILES, large="TEXT = %r\n" % SOURCES[0].read_text()[:3000])


def test_a_program_gets_lighter_and_stays_the_same_around_its_archive(tmp_path):
    packed = archive(**BIG)
    assert payload.lighter(program(packed), tmp_path) == program(bundled(packed))


def test_programs_of_another_form_are_sent_as_they_are(tmp_path):
    with pytest.raises(NoEngine):
        bundled(archive(other="x = 1"))
    for other in (b"", b"#!/bin/sh\necho\n", program(archive(other="x = %r" % (3000 * "x"))), program(3000 * b"no archive"), b"'%s'" % (b"A" * 3001)):
        assert payload.lighter(other, tmp_path) == other


def test_where_nothing_can_be_kept_programs_are_sent_as_they_are(tmp_path):
    assert payload.lighter(program(archive(**BIG)), tmp_path / "gone") == program(archive(**BIG))


def lightened(folder, number):
    return payload.lighter(program(archive(**BIG)).replace(b"this host", b"host %d" % number), folder)


def test_the_archive_is_made_once_for_all_hosts(tmp_path):
    """Ansible has a process for each host."""
    with multiprocessing.get_context("fork").Pool(4) as pool:
        made = pool.starmap(lightened, [(tmp_path, number) for number in range(8)])
    packed = bundled(archive(**BIG))
    assert made == [program(packed).replace(b"this host", b"host %d" % number) for number in range(8)]
    (kept,) = [path for path in tmp_path.iterdir() if path.name != payload.LOCK]
    kept.write_bytes(b"as it was made")
    assert b"as it was made" in lightened(tmp_path, 9)
