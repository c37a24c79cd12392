"""An engine that was updated is imported anew; one that was not stays."""

import importlib
import shutil
import sys

import pidhygiene
import pytest


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the engine under another name, so that the one of the tests stays as it is."""
    shutil.copytree(pidhygiene.__path__[0], tmp_path / "engine_copy", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path / "engine_copy"
    for name in [name for name in sys.modules if name.startswith("engine_copy")]:
        del sys.modules[name]


def test_an_unchanged_engine_stays(copied):
    fresh = importlib.import_module("engine_copy.fresh")
    model = importlib.import_module("engine_copy.model")
    assert fresh.refresh() is False
    assert sys.modules["engine_copy.model"] is model


def test_an_updated_engine_is_imported_anew(copied):
    fresh = importlib.import_module("engine_copy.fresh")
    importlib.import_module("engine_copy.readers.processes")
    (copied / "__init__.py").write_text('__version__ = "9.9.9"\n')
    assert fresh.refresh() is True
    assert not [name for name in sys.modules if name.startswith("engine_copy")]
    importlib.invalidate_caches()
    assert importlib.import_module("engine_copy").__version__ == "9.9.9"


def test_a_file_that_came_or_went_counts(copied):
    fresh = importlib.import_module("engine_copy.fresh")
    (copied / "rules" / "new.py").write_text("")
    assert fresh.refresh() is True
    fresh = importlib.import_module("engine_copy.fresh")
    (copied / "rules" / "new.py").unlink()
    assert fresh.refresh() is True


def test_other_packages_stay(copied):
    fresh = importlib.import_module("engine_copy.fresh")
    (copied / "model.py").write_text("")
    fresh.refresh()
    assert "pidhygiene" in sys.modules and "json" in sys.modules
