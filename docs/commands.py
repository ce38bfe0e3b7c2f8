"""Every command as its own `--help` has it; the page of commands and a test are made from it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

import typer

from compliance.cli import make_parser
from compliance.command import GROUPS, load

EXAMPLE = "Example:"


class Command(NamedTuple):
    """One command: `consilium site join`, its words, sentence, example and options."""

    name: str
    words: tuple[str, ...]
    sentence: str
    example: str
    options: tuple[tuple[str, str], ...]

    @property
    def flags(self) -> frozenset[str]:
        """Every option by each of its names."""
        return frozenset(part for names, _ in self.options for part in names.split(", "))


def commands() -> list[Command]:
    """All commands, in the order of their groups."""
    found: list[Command] = []
    for name, group in GROUPS.items():
        if name == "audit":
            found += _from_argparse(make_parser())
        else:
            app: Any = load(group)
            found += _from_typer(f"consilium {name}", typer.main.get_command(app))
    return found


def _from_typer(name: str, command: Any) -> Iterator[Command]:
    if hasattr(command, "commands"):
        for word, inner in command.commands.items():
            yield from _from_typer(f"{name} {word}", inner)
        return
    sentence, _, example = str(command.help or "").partition(EXAMPLE)
    words, options = [], []
    for part in command.params:
        if part.param_type_name == "argument":
            word = part.metavar or part.name.upper()
            words.append(word if part.required else f"[{word}]")
        elif part.name != "help":
            told = f"{part.help or ''}{' Required.' if part.required else ''}"
            options.append((", ".join(part.opts), told))
    yield Command(name, tuple(words), _line(sentence), _line(example), tuple(options))


def _from_argparse(parser: argparse.ArgumentParser) -> Iterator[Command]:
    subs = next(part for part in parser._actions if isinstance(part, _SUBPARSERS))
    sentences = {part.dest: str(part.help) for part in subs._choices_actions}
    for word, inner in subs.choices.items():
        words, options = [], []
        for part in inner._actions:
            if not part.option_strings:
                words.append(str(part.metavar))
            elif part.dest != "help":
                told = f"{part.help or ''}{' Required.' if part.required else ''}".strip()
                options.append((", ".join(part.option_strings), told))
        sentence = sentences[word][:1].upper() + sentences[word][1:]
        example = _line((inner.epilog or "").partition(":")[2])
        yield Command(f"consilium audit {word}", tuple(words), sentence, example, tuple(options))


_SUBPARSERS = argparse._SubParsersAction


def _line(text: str) -> str:
    return " ".join(text.split())
