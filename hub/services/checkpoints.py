"""Checkpoints of a log and the cosignatures under them, inside the ledger's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from compliance.errors import ConsiliumError, NotReady, Refused
from compliance.ledger.checkpoint import Checkpoint, open_checkpoint, sign
from compliance.ledger.cosign import check_cosignature
from compliance.ledger.policy import AHEAD_SECONDS, Policy, policy_of_charter
from compliance.records.charter import CharterBody
from compliance.records.types import time_text
from compliance.rules.fold import replay
from compliance.rules.state import StudyState
from compliance.signing.keys import SigningKey, VerifierKey
from compliance.signing.note import assemble, parse, parse_line
from hub.storage import ledger as rows
from hub.storage.database import Transaction

URGENT = frozenset(
    {"charter", "round.opened", "round.closed", "model.released", "study.stopped", "study.closed",
     "charter.amended", "site.withdrawn", "dataset.withdrawn", "export.created"}
)  # fmt: skip
MANY = 32
RECENT = 64


def issue(session: Transaction, state: StudyState, key: SigningKey, now: datetime) -> None:
    """Sign a checkpoint of the newest entry, once for each size."""
    study = key.name.rsplit("/", 1)[-1]
    if rows.find_checkpoint(session, study, state.size) is not None:
        return
    checkpoint = Checkpoint(state.charter.origin, state.size, state.tree.root())
    row = rows.CheckpointRow(
        study=study,
        size=state.size,
        note=sign(checkpoint, key),
        issued_at=time_text(now),
        quorum=False,
    )
    rows.add_checkpoint(session, row)


def due(newest: rows.CheckpointRow | None, size: int, now: datetime, pause: float) -> bool:
    """Whether the log has grown long enough, by entries or by time, for another checkpoint."""
    if newest is None:
        return True
    if newest.size == size:
        return False
    age = now - datetime.fromisoformat(newest.issued_at)
    return size - newest.size >= MANY or age >= timedelta(seconds=pause)


def assembled(session: Transaction, row: rows.CheckpointRow) -> bytes:
    """A checkpoint with the log's signature and every cosignature."""
    note = parse(row.note)
    lines = [item.line for item in rows.cosignatures(session, row.study, row.size)]
    return assemble(note.text, [*note.lines, *lines])


def take_cosignature(
    session: Transaction, charter: CharterBody, site: str, line: str, now: datetime
) -> None:
    """Keep a witness's cosignature of one of the newest checkpoints, and note a quorum.

    Raises:
        Refused: no witness of this study, none of our checkpoints, or a time ahead of the clock.
        Malformed, NotProven: not a cosignature by this witness's key.
    """
    study = charter.origin.rsplit("/", 1)[-1]
    key = {row.name: VerifierKey.parse(row.witness) for row in charter.sites}.get(site)
    if key is None or site not in charter.quorum.witnesses:
        raise Refused("checkpoint.key", site, "a witness of the charter")
    row, time = _find(rows.recent_checkpoints(session, study, RECENT), line, key)
    if time > now.timestamp() + AHEAD_SECONDS:
        raise Refused(
            "cosignature.time", sentence="The cosignature is more than 10 minutes ahead of us."
        )
    found = rows.CosignatureRow(
        study=study, size=row.size, key_name=key.name, line=line.strip(), time=time
    )
    rows.add_cosignature(session, found)
    policy = Policy.parse(policy_of_charter(charter))
    by_key = {made.name: witness for witness, made in policy.witnesses.items()}
    names = {by_key[item.key_name] for item in rows.cosignatures(session, study, row.size)}
    if policy.satisfied(names):
        rows.mark_quorum(session, study, row.size)


def _find(
    checkpoints: Sequence[rows.CheckpointRow], line: str, key: VerifierKey
) -> tuple[rows.CheckpointRow, int]:
    parsed = parse_line(line)
    stamp = b"cosignature/v1\ntime %d\n" % int.from_bytes(parsed.signature[:8], "big")
    for row in checkpoints:
        text = parse(row.note).text
        if key.verifies(stamp + text, parsed.signature[8:]):
            return row, check_cosignature(text, parsed, key)
    raise Refused("checkpoint.old", sentence="This is no cosignature of a checkpoint here.")


def check_history(study: str, notes: Sequence[bytes], newest: bytes | None) -> StudyState:
    """Fold a whole log again and compare it with the last checkpoint that the hub signed.

    Whoever can write to the database can change an entry; he cannot make it agree with what was
    signed and cosigned before.

    Args:
        study: whose log.
        notes: every entry, as stored.
        newest: the newest checkpoint; each log has one from its first entry on.

    Returns:
        The folded state.

    Raises:
        NotReady: the entries are not those that were signed.
    """
    try:
        state = replay(notes)
        signed = open_checkpoint(newest or b"", VerifierKey.parse(state.charter.log_key))
        if state.charter.origin.rsplit("/", 1)[-1] == study and (
            signed.size <= state.size and state.tree.root(signed.size) == signed.root
        ):
            return state
        finding = "its entries are not those of its last checkpoint"
    except Refused as error:
        finding = f"entry {error.found} breaks rule {error.rule}"
    except ConsiliumError as error:
        finding = str(error).rstrip(".")
    raise NotReady(
        f"the log of study {study} was changed in the database: {finding}. Nothing is served.",
        "Restore the database from a backup, or the log from a hospital's mirror.",
    )
