"""Take one guard out of a function of the program, to see a test go red without it.

The function itself is changed, not its name: whoever holds a reference to it, a table of rules or
another module, meets the function without its guard.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Protocol, cast


class Patch(Protocol):
    """What pytest's `monkeypatch` can do."""

    def setattr(self, target: object, name: str, value: object) -> None:
        """Change an attribute until the test has ended."""


@dataclass(frozen=True)
class Guard:
    """One guard of the program.

    Args:
        where: `module:function` or `module:Class.method`.
        words: how the statement, or the question of a chain `a or b`, begins as Python writes it.
        instead: the statement that takes its place; nothing happens there, if not said.
    """

    where: str
    words: str
    instead: str = "pass"

    def function(self) -> FunctionType:
        """The function that holds it; of a decorated one, the one inside."""
        module, _, path = self.where.partition(":")
        found: Any = functools.reduce(getattr, path.split("."), importlib.import_module(module))
        found = found.fget if isinstance(found, property) else inspect.unwrap(found)
        return cast("FunctionType", found)

    def take_out(self, tree: ast.AST) -> None:
        """Take the guard out of the source of its module.

        Raises:
            LookupError: no statement begins with these words, or more than one.
        """
        body = _definition(tree, self.function().__qualname__.split("."))
        places = list(_places(body, self.words))
        if len(places) != 1:
            raise LookupError(f"{len(places)} places in {self.where} begin with {self.words!r}")
        holder, name, at = places[0]
        getattr(holder, name)[at : at + 1] = _instead(self.instead, name)


def take_away(patch: Patch, *guards: Guard) -> None:
    """Leave the program without these guards until the test has ended."""
    for where in dict.fromkeys(guard.where for guard in guards):
        function, code = without(*(guard for guard in guards if guard.where == where))
        patch.setattr(function, "__code__", code)


def without(*guards: Guard) -> tuple[FunctionType, CodeType]:
    """A function and its code without some of its guards.

    Raises:
        LookupError: the words of a guard do not name one place.
    """
    function = guards[0].function()
    module = inspect.getmodule(function)
    assert module is not None
    file = str(module.__file__)
    tree = ast.parse(Path(file).read_text())
    for guard in guards:
        guard.take_out(tree)
    whole = compile(ast.fix_missing_locations(tree), file, "exec")
    code = _code(whole, function.__qualname__)
    assert code is not None
    return function, code


def _definition(tree: ast.AST, path: list[str]) -> ast.AST:
    for name in path:
        tree = next(
            node
            for node in ast.iter_child_nodes(tree)
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
        )
    return tree


def _places(definition: ast.AST, words: str) -> Iterator[tuple[ast.AST, str, int]]:
    """Every list of statements, or operands of a chain, with a member that begins so."""
    for node in ast.walk(definition):
        for name in ("body", "orelse", "finalbody", "handlers", "values"):
            members = getattr(node, name, None)
            if isinstance(members, list):
                for at, member in enumerate(members):
                    if ast.unparse(member).startswith(words):
                        yield node, name, at


def _instead(text: str, name: str) -> list[Any]:
    if name == "values":
        return [ast.Constant(None) if text == "pass" else ast.parse(text, mode="eval").body]
    return ast.parse(text).body


def _code(code: CodeType, qualname: str) -> CodeType | None:
    if code.co_qualname == qualname:
        return code
    inner = (part for part in code.co_consts if isinstance(part, CodeType))
    return next(filter(None, (_code(part, qualname) for part in inner)), None)
