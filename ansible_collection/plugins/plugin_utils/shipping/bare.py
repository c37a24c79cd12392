# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python source without what only people read; every line that runs keeps its number, so that a traceback still leads to the real file."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def bare(source: str) -> str:
    """The same program with empty docstrings and without comments."""
    lines = list(io.StringIO(source))
    for token in tokenize.generate_tokens(iter(lines[:]).__next__):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip() + "\n"
    return _without_docstrings("".join(lines))


def _without_docstrings(source: str) -> str:
    lines = source.encode().splitlines(keepends=True)  # columns of the tree count bytes
    for text in _docstrings(ast.parse(source)):
        first, last = text.lineno - 1, (text.end_lineno or text.lineno) - 1
        rest = lines[last][text.end_col_offset:]
        lines[first] = lines[first][:text.col_offset] + b'""' + rest
        lines[first + 1:last + 1] = [b"\n"] * (last - first)
    return b"".join(lines).decode()


def _docstrings(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None and isinstance(node.body[0], ast.Expr):
            yield node.body[0].value
