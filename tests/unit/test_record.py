"""Records of the engine do all that typing.NamedTuple's do, as far as the engine uses it."""

from __future__ import annotations

import pickle
import sys
import typing

import pytest
from pidhygiene import record


class Ours(record.NamedTuple):
    """A place."""

    name: str
    size: int = 3
    marks: typing.Tuple[str, ...] = ()

    @property
    def double(self) -> int:
        return self.size * 2


class Theirs(typing.NamedTuple):
    """A place."""

    name: str
    size: int = 3
    marks: typing.Tuple[str, ...] = ()

    @property
    def double(self) -> int:
        return self.size * 2


class Empty(record.NamedTuple):
    pass


BOTH = pytest.mark.parametrize("kind", [Ours, Theirs])


@BOTH
def test_a_record_is_a_tuple_with_names(kind):
    made = kind("here", marks=("x",))
    assert made == ("here", 3, ("x",)) and isinstance(made, tuple) and hash(made) == hash(("here", 3, ("x",)))
    assert (made.name, made.size, made.marks, made.double) == ("here", 3, ("x",), 6)
    assert kind._fields == ("name", "size", "marks") and kind.__doc__ == "A place."
    assert made._replace(size=4) == ("here", 4, ("x",)) and made._asdict() == {"name": "here", "size": 3, "marks": ("x",)}
    assert kind._make(["a", 1, ()]) == kind("a", 1)
    assert repr(made) == "%s(name='here', size=3, marks=('x',))" % kind.__name__
    assert pickle.loads(pickle.dumps(made)) == made and type(pickle.loads(pickle.dumps(made))) is kind


@BOTH
def test_a_record_takes_just_its_fields_and_does_not_change(kind):
    for wrong in (lambda: kind(), lambda: kind("a", 1, (), 2), lambda: kind("a", colour=1), lambda: kind("a", name="b"), lambda: kind._make(["a"])):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises((ValueError, TypeError)):
        kind("a")._replace(colour=1)
    with pytest.raises(AttributeError):
        kind("a").size = 5
    with pytest.raises(AttributeError):
        kind("a").other = 5


def test_a_record_without_fields():
    assert Empty() == () and repr(Empty()) == "Empty()"


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="there the engine takes the library's")
def test_here_it_is_ours_that_is_tested():
    assert record.NamedTuple is not typing.NamedTuple
