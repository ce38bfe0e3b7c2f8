"""Checkpoints of a log and the cosignatures under them, inside the ledger's transaction."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import zip_longest

from compliance.errors import ConsiliumError, NotReady, Refused
from compliance.ledger.checkpoint import Checkpoint, open_checkpoint, parse_text, sign
from compliance.ledger.cosign import check_cosignature
from compliance.ledger.merkle import leaf_hash
from compliance.ledger.policy import AHEAD_SECONDS, Policy
from compliance.records.envelope import parse_event
from compliance.records.types import time_text
from compliance.rules.arrival import predates
from compliance.rules.logs import State, family_of
from compliance.rules.state import StudyState
from compliance.rules.verdict import Denied
from compliance.signing.keys import SigningKey, VerifierKey
from compliance.signing.note import assemble, parse, parse_line
from hub.storage import ledger as rows
from hub.storage.database import Transaction

URGENT = frozenset(
    {"charter", "round.opened", "round.closed", "model.released", "study.stopped", "study.closed",
     "charter.amended", "site.withdrawn", "dataset.withdrawn", "export.created", "key.rotated",
     "agreement", "agreement.amended", "member.admitted", "member.suspended", "member.left",
     "study.opened", "study.proposed", "study.resumed"}
)  # fmt: skip
MANY = 32
RECENT = 64


def issue(session: Transaction, log: str, state: State, key: SigningKey, now: datetime) -> None:
    """Sign a checkpoint of the newest entry, once for each size."""
    if rows.find_checkpoint(session, log, state.size) is not None:
        return
    checkpoint = Checkpoint(state.origin, state.size, state.tree.root())
    row = rows.CheckpointRow(
        study=log,
        size=state.size,
        note=sign(checkpoint, key),
        issued_at=time_text(now),
        quorum=False,
    )
    rows.add_checkpoint(session, row)


def due(newest: tuple[int, str] | None, size: int, now: datetime, pause: float) -> bool:
    """Whether the log has grown long enough, by entries or by time, for another checkpoint.

    Args:
        newest: size and time of the newest one.
        size: of the log.
        now: the hub's clock.
        pause: least seconds between two.
    """
    if newest is None:
        return True
    before, issued_at = newest
    if before == size:
        return False
    age = now - datetime.fromisoformat(issued_at)
    return size - before >= MANY or age >= timedelta(seconds=pause)


def check_age(session: Transaction, log: str, note: bytes, now: datetime) -> None:
    """Take no statement that the witnesses would have to call words put into the past.

    No cosignature here is further ahead than `AHEAD_SECONDS`, so only what is old by the hub's own
    clock is held against them: the others cost no question to the database.

    Raises:
        Refused: it is a day older than a cosignature of this log, and one hand signed it.
    """
    parsed = parse(note)
    said = parse_event(parsed.text, kinds=family_of(log).kinds).time
    if not predates(parsed, said, math.ceil(now.timestamp()) + AHEAD_SECONDS):
        return
    cosigned = rows.last_cosigned(session, log)
    if predates(parsed, said, cosigned):
        before = time_text(datetime.fromtimestamp(cosigned, UTC))
        denied = Denied("time.order", said, f"cosigned at {before}")
        raise denied.refusal()


def assembled(session: Transaction, row: rows.CheckpointRow) -> bytes:
    """A checkpoint with the log's signature and every cosignature."""
    note = parse(row.note)
    lines = [item.line for item in rows.cosignatures(session, row.study, row.size)]
    return assemble(note.text, [*note.lines, *lines])


def take_cosignature(
    session: Transaction, log: str, state: State, said: tuple[str, str], now: datetime
) -> None:
    """Keep a witness's cosignature of one of the newest checkpoints, and note a quorum.

    Args:
        session: the transaction.
        log: whose checkpoint.
        state: the log's folded state.
        said: the hospital and its signature line.
        now: the hub's clock.

    Raises:
        Refused: no witness of this log, none of our checkpoints, or a time ahead of the clock.
        Malformed, NotProven: not a cosignature by this witness's key.
    """
    site, line = said
    if site not in witnesses(state):
        raise Refused("checkpoint.key", site, "a witness of this log")
    key_at = partial(state.keys.at, f"{site}/witness")
    row, time = _find(rows.recent_checkpoints(session, log, RECENT), line, key_at)
    if time > now.timestamp() + AHEAD_SECONDS:
        raise Refused(
            "cosignature.time", sentence="The cosignature is more than 10 minutes ahead of us."
        )
    found = rows.CosignatureRow(
        study=log, size=row.size, key_name=f"{site}/witness", line=line.strip(), time=time
    )
    rows.add_cosignature(session, found)
    policy = Policy.parse(family_of(log).policy(state))
    by_key = {made.name: witness for witness, made in policy.witnesses.items()}
    names = {by_key.get(item.key_name, "") for item in rows.cosignatures(session, log, row.size)}
    if policy.satisfied(names):
        rows.mark_quorum(session, log, row.size)


def witnesses(state: State) -> list[str]:
    """The hospitals whose cosignatures count for this log."""
    if isinstance(state, StudyState):
        return list(state.charter.quorum.witnesses)
    return list(state.agreement.quorum.witnesses)


KeyAt = Callable[[int], VerifierKey | None]


def _find(
    checkpoints: Sequence[rows.CheckpointRow], line: str, key_at: KeyAt
) -> tuple[rows.CheckpointRow, int]:
    parsed = parse_line(line)
    stamp = b"cosignature/v1\ntime %d\n" % int.from_bytes(parsed.signature[:8], "big")
    for row in checkpoints:
        text, key = parse(row.note).text, key_at(row.size)
        if key is not None and key.verifies(stamp + text, parsed.signature[8:]):
            return row, check_cosignature(text, parsed, key)
    raise Refused("checkpoint.old", sentence="This is no cosignature of a checkpoint here.")


def check_history(
    log: str, notes: Sequence[bytes], newest: bytes | None, leaves: Sequence[bytes] = ()
) -> State:
    """Fold a whole log again and compare it with the last checkpoint that the hub signed.

    Whoever can write to the database can change an entry; he cannot make it agree with what was
    signed and cosigned before.

    Args:
        log: which log.
        notes: every entry, as stored.
        newest: the newest checkpoint; each log has one from its first entry on.
        leaves: the leaf hashes kept beside the entries; they only help to name the place.

    Returns:
        The folded state.

    Raises:
        NotReady: the entries are not those that were signed.
    """
    try:
        state = family_of(log).replay(notes)
        key = state.keys.at(state.origin, parse_text(parse(newest or b"").text).size)
        signed = open_checkpoint(newest or b"", key or VerifierKey.parse(state.log_key))
        if state.origin.rsplit("/", 1)[-1] == log and (
            signed.size <= state.size and state.tree.root(signed.size) == signed.root
        ):
            return state
        finding = "its entries are not those of its last checkpoint"
        place = _first_other(notes, leaves)
        if place is not None:
            finding = f"entry {place} is not the one that was written"
    except Refused as error:
        finding = f"entry {error.found} breaks rule {error.rule}"
    except ConsiliumError as error:
        finding = str(error).rstrip(".")
    raise NotReady(
        f"the log of {_words(log)} was changed in the database: {finding}. Nothing is served.",
        "Restore the database from a backup, or the log from a hospital's mirror.",
    )


def _first_other(notes: Sequence[bytes], leaves: Sequence[bytes]) -> int | None:
    """Where the entries begin to differ from the leaf hashes of the tree, if they do."""
    pairs = zip_longest(map(leaf_hash, notes), leaves)
    return next((place for place, (found, kept) in enumerate(pairs) if found != kept), None)


def _words(log: str) -> str:
    return "the consortium" if log == "consortium" else f"study {log}"
