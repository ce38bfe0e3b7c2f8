"""A monitor: looks at copies of a log again and again, remembers the longest, tells of a fork.

It needs no account and asks nobody: bundles, mirror folders, static tiles and single checkpoints
are read as files. What it remembers is one cosigned checkpoint a log.

Source: design/ledger.md §10 (split view); C2SP tlog-checkpoint, tlog-tiles.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compliance.errors import Malformed, NotProven, NotReady
from compliance.ledger.checkpoint import parse_text
from compliance.ledger.policy import Policy
from compliance.report.compare import Evidence, compare, read_evidence
from compliance.report.export import put
from compliance.signing.note import parse

FILES = (".zip", ".checkpoint", ".tlog-proof")


@dataclass(frozen=True)
class Look:
    """What one look found.

    Args:
        lines: one sentence for each piece of evidence.
        newest: the longest cosigned checkpoint that is known now.
        alarms: what no honest log can show.
        untold: what could not be told.
        proof: two notes that prove a fork, if one was found.
    """

    newest: Evidence | None
    lines: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    proof: tuple[bytes, bytes] | None = None

    @property
    def exit_code(self) -> int:
        """0 one history, 1 alarm, 2 cannot tell."""
        return 1 if self.alarms else 2 if self.untold or self.newest is None else 0


def sources(paths: Iterable[Path]) -> Iterator[Path]:
    """Every piece of evidence at these places: logs as folders, and files inside other folders."""
    for path in paths:
        if not path.is_dir() or _is_log(path):
            yield path
            continue
        for inner in sorted(path.iterdir()):
            if inner.suffix in FILES or (inner.is_dir() and _is_log(inner)):
                yield inner


def look(paths: Sequence[Path], policy: str, remembered: bytes | None) -> Look:
    """Read everything, check signature and quorum, and compare it with the longest.

    Args:
        paths: where copies of the log lie.
        policy: whose signatures count.
        remembered: the longest checkpoint of earlier looks.
    """
    found, told = _gather(paths, policy)
    newest = max(found, key=lambda item: (item.checkpoint.size, len(item.entries)), default=None)
    if newest is None:
        return told
    if remembered is not None:
        before = parse_text(parse(remembered).text)
        kept = Evidence("what was remembered", remembered, before)
        found.append(kept)
        if before.size > newest.checkpoint.size:
            words = f"the log went back from {before.size} to {newest.checkpoint.size} entries"
            return Look(kept, told.lines, [*told.alarms, words], told.untold)
    proof = None
    for item in found:
        try:
            told.lines.append(f"{item.name}: {compare(item, newest, policy)}")
        except NotProven as error:
            told.alarms.append(f"{item.name} and {newest.name}: {error.finding}")
            proof = (item.note, newest.note)
        except NotReady as error:
            told.untold.append(f"{item.name}: {error}")
    return Look(newest, told.lines, told.alarms, told.untold, proof)


def remember(state: Path, seen: Look) -> None:
    """Keep the longest checkpoint, and both sides of a fork, beside the state file.

    Raises:
        NotReady: the file cannot be written.
    """
    if seen.newest is not None and not seen.alarms:
        note = base64.b64encode(seen.newest.note).decode()
        put(state, (json.dumps({"v": 1, "checkpoint": note}) + "\n").encode())
    for place, side in zip("ab", seen.proof or (), strict=False):
        put(state.with_name(f"{state.name}.{place}.checkpoint"), side)


def remembered(state: Path) -> bytes | None:
    """The longest checkpoint of earlier looks; None at the first one.

    Raises:
        NotReady: the file is there and cannot be read.
    """
    try:
        told = json.loads(state.read_bytes())
        return base64.b64decode(told["checkpoint"], validate=True)
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError):
        raise NotReady(
            f"{state} does not hold what a watch remembers.",
            "Name another file with --state; the first look then has nothing to compare with.",
        ) from None


def _gather(paths: Sequence[Path], policy: str) -> tuple[list[Evidence], Look]:
    """Evidence with quorum, and what is wrong with the rest."""
    told, found = Look(None), []
    judge = Policy.parse(policy)
    for path in sources(paths):
        try:
            item = read_evidence(path)
            judge.judge(item.note)
            found.append(item)
        except NotProven as error:
            told.alarms.append(f"{path}: {error.finding}")
        except (NotReady, Malformed) as error:
            told.untold.append(f"{path}: {error}")
    return found, told


def _is_log(folder: Path) -> bool:
    return (folder / "checkpoint").is_file() or (folder / "data" / "log" / "checkpoint").is_file()
