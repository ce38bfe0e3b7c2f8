"""The hospitals' mirrors as a hub reads them: each log verified, and one history out of many.

A mirror is what `consilium site mirror` wrote: static tiles of each log, two checkpoints, and the
hospital's signed statement of how long its copies are. Nothing in a folder is believed: every entry
is judged again by the rules, every signature checked, every root recomputed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compliance.errors import Malformed, NotProven, NotReady, Refused
from compliance.ledger.checkpoint import open_checkpoint, parse_text
from compliance.ledger.cosign import check_cosignature
from compliance.ledger.policy import Policy
from compliance.report.compare import entries_of
from compliance.report.heads import FILE, Heads, read_heads
from compliance.rules.logs import State, family_of
from compliance.rules.verdict import Denied
from compliance.signing.note import assemble, parse
from hub.services.logbook import CONSORTIUM

LOG_NAME = 16
FIX = "Ask the hospital for a new one: `consilium site mirror --out DIR`."


@dataclass(frozen=True)
class Signed:
    """A checkpoint that holds: the log's own line, and each witness's line with its time."""

    note: bytes
    size: int
    lines: Mapping[str, tuple[str, int]]
    quorum: bool


@dataclass(frozen=True)
class Copy:
    """One log as one mirror holds it, checked from the first entry to the last.

    Args:
        log: its short name.
        where: folder, for people.
        entries: as received.
        state: what they lead to.
        signed: the checkpoints that came with it.
    """

    log: str
    where: str
    entries: Sequence[bytes]
    state: State
    signed: Sequence[Signed] = ()


@dataclass(frozen=True)
class Mirrored:
    """A hospital's folder: its logs and its own statement about them."""

    where: Path
    copies: Mapping[str, Copy]
    heads: Heads


def read_mirror(folder: Path) -> Mirrored:
    """Read and check everything that a hospital's mirror holds.

    Raises:
        NotReady: it is no mirror, or cannot be read.
        NotProven: an entry breaks a rule, or a checkpoint does not hold.
    """
    try:
        heads = read_heads((folder / FILE).read_bytes())
        names = sorted(path.name for path in folder.iterdir() if (path / "checkpoint").is_file())
        logs = [name for name in names if name == CONSORTIUM or len(name) == LOG_NAME]
        copies = {log: read_copy(folder / log, log) for log in logs}
    except OSError as error:
        raise NotReady(f"{folder} is no hospital's mirror ({error.strerror}).", FIX) from None
    except Malformed as error:
        raise NotReady(f"{folder} is no readable mirror: {error}.", FIX) from None
    for log, (size, root) in heads.logs.items():
        held = copies.get(log)
        if held is None or held.state.size != size or held.state.tree.root() != root:
            finding = f"{folder}: the log {log} is not the one of which {heads.site} says it"
            raise NotProven("mirror", finding)
    return Mirrored(folder, copies, heads)


def read_copy(folder: Path, log: str) -> Copy:
    """Read one log of a mirror and judge each entry again.

    Raises:
        NotProven: an entry breaks a rule, or a checkpoint does not hold.
        Malformed: it cannot be read.
    """
    tiles = folder / "tile" / "entries"
    files = {
        f"data/log/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(tiles.rglob("*"))
        if path.is_file()
    }
    names = [name for name in ("checkpoint", "checkpoint.latest") if (folder / name).is_file()]
    notes = [(folder / name).read_bytes() for name in names]
    wanted = [(parse_text(parse(note).text).size, note) for note in notes]
    entries = entries_of(files, max(size for size, _ in wanted))
    return _checked(log, str(folder), entries, wanted)


def _checked(
    log: str, where: str, entries: Sequence[bytes], wanted: Sequence[tuple[int, bytes]]
) -> Copy:
    family, state = family_of(log), None
    signed: dict[int, Signed] = {}
    for index, note in enumerate(entries):
        verdict = family.judge(state, note)
        if isinstance(verdict, Denied):
            raise NotProven("entries", f"{where}: entry {index} breaks rule {verdict.rule}")
        state = family.advance(state, note, index)
        for size, checkpoint in wanted:
            if size == state.size:
                found = _holds(where, state, checkpoint)
                signed[size] = max(found, signed.get(size, found), key=lambda one: len(one.lines))
    if state is None or state.size != max(size for size, _ in wanted):
        raise NotProven("entries", f"{where}: entries are missing below the checkpoint")
    if state.origin.rpartition("/")[2] != log:
        raise NotProven("checkpoint.origin", f"{where} holds the log {state.origin}")
    return Copy(log, where, entries, state, [signed[size] for size in sorted(signed)])


def _holds(where: str, state: State, data: bytes) -> Signed:
    """Check a checkpoint at the size where it was signed, with the keys in force there."""
    note, policy = parse(data), Policy.parse(family_of(state.origin).policy(state))
    key = state.keys.current[state.origin]
    try:
        checkpoint = open_checkpoint(note, key)
    except NotProven as error:
        raise NotProven(error.step, f"{where}: {error.finding}") from None
    if checkpoint.root != state.tree.root():
        raise NotProven("entries", f"{where}: the entries do not lead to the signed root")
    lines = {}
    for witness in policy.witnesses.values():
        for line in note.lines:
            if (line.name, line.key_id) == (witness.name, witness.key_id):
                time = check_cosignature(note.text, line, witness)
                lines[witness.name] = (str(line), time)
    names = {name for name, made in policy.witnesses.items() if made.name in lines}
    own = [line for line in note.lines if (line.name, line.key_id) == (key.name, key.key_id)]
    bare = assemble(note.text, own)
    return Signed(bare, checkpoint.size, lines, policy.satisfied(names))


def longest(copies: Sequence[Copy]) -> Copy:
    """The longest of several copies of one log, if all others are its beginning.

    Raises:
        NotProven: two of them are two histories; the place where they part is named.
    """
    best = max(copies, key=lambda copy: copy.state.size)
    for other in copies:
        for index, (left, right) in enumerate(zip(other.entries, best.entries, strict=False)):
            if left != right:
                finding = (
                    f"{other.where} and {best.where} tell two histories of {best.state.origin}: "
                    f"entry {index} differs. Show both to `consilium audit compare`"
                )
                raise NotProven("fork", finding)
    return best


def check_voice(heads: Heads, states: Mapping[str, State]) -> bool:
    """Whether this statement is of a hospital whose key the consortium's log names.

    Raises:
        NotProven: it is said in the name of a hospital that did not sign it.
    """
    key = states[CONSORTIUM].keys.current.get(f"{heads.site}/node")
    if key is None:
        return False
    heads.check(key)
    return True


def agreeing(states: Mapping[str, State], voices: Sequence[Heads], since: str) -> dict[str, str]:
    """For each log that may not be written yet: how many of whom are still asked for.

    A voice counts when it was said after `since` by a witness of the log. The caller has made sure
    that the log holds every entry that these hospitals have.
    """
    lacking = {}
    for log, state in states.items():
        policy = Policy.parse(family_of(log).policy(state))
        said = {one.site for one in voices if log in one.logs and one.time >= since}
        if not policy.satisfied(said & set(policy.witnesses)):
            lacking[log] = policy.words()
    return lacking


def same_listing(states: Mapping[str, State], excused: set[str]) -> dict[str, str]:
    """Studies that the consortium lists and no copy brought: charter id by short name.

    Args:
        states: every log that is here now.
        excused: charters of studies whose records are gone, on record or given up here.

    Raises:
        Refused: a study's log begins with another charter than the consortium lists.
    """
    listed = {row.origin: charter for charter, row in states[CONSORTIUM].studies.items()}  # type: ignore[union-attr]
    here = {state.origin for state in states.values()}
    for state in states.values():
        charter = listed.get(state.origin, state.charter_id)
        if charter != state.charter_id:
            raise Refused("study.unlisted", state.charter_id, charter)
    return {
        origin.rpartition("/")[2]: charter
        for origin, charter in sorted(listed.items())
        if origin not in here and charter not in excused
    }
