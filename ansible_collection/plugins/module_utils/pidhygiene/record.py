# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""typing.NamedTuple for the facts of the engine, made at a fifth of its cost.

The library compiles the constructor of each class from text, which for some 160 classes is a tenth of a whole check. Here one constructor is
compiled for each number of fields, and copied with the names of the fields in it. Type checkers see the library's.
"""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING or not (3, 8) <= sys.version_info < (3, 14):  # code.replace is 3.8's; 3.14 keeps annotations elsewhere until they are asked for
    from typing import NamedTuple
else:
    from collections import _tuplegetter
    from types import FunctionType

    _NEW = {"new": tuple.__new__, "__builtins__": {}}
    _CONSTRUCTORS = {}

    class _Record(tuple):
        """What all of them can do, as collections.namedtuple has it."""

        __slots__ = ()
        _fields = ()

        @classmethod
        def _make(cls, values):
            made = tuple.__new__(cls, values)
            if len(made) != len(cls._fields):
                raise TypeError("Expected %d arguments, got %d" % (len(cls._fields), len(made)))
            return made

        def _replace(self, **changed):
            made = self._make(map(changed.pop, self._fields, self))
            if changed:
                raise ValueError("Got unexpected field names: %r" % list(changed))
            return made

        def _asdict(self):
            return dict(zip(self._fields, self))

        def __repr__(self):
            return "%s(%s)" % (type(self).__name__, ", ".join("%s=%r" % pair for pair in zip(self._fields, self)))

        def __getnewargs__(self):
            return tuple(self)

    class _Maker(type):
        """Makes of a class with annotations a tuple with names."""

        def __new__(cls, name, bases, body):
            if not bases:
                return super().__new__(cls, name, bases, body)
            if len(bases) > 1:
                raise TypeError("a NamedTuple has no other base")
            fields = tuple(body.get("__annotations__", ()))
            defaults = tuple(body.pop(field) for field in fields if field in body)
            new = FunctionType(_constructor(len(fields)).replace(co_varnames=("_cls",) + fields), _NEW, "__new__", defaults)
            body.update({field: _tuplegetter(place, "") for place, field in enumerate(fields)}, __slots__=(), _fields=fields, __new__=new)
            return type(name, (_Record,), body)

    def _constructor(count):
        code = _CONSTRUCTORS.get(count)
        if code is None:
            names = "".join("f%d, " % place for place in range(count))
            code = _CONSTRUCTORS[count] = eval("lambda _cls, %s: new(_cls, (%s))" % (names.rstrip(", "), names)).__code__
        return code

    class NamedTuple(metaclass=_Maker):
        """class Point(NamedTuple): with fields, types and defaults, as in typing."""

__all__ = ["NamedTuple"]
