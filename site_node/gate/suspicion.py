"""What a witness does not believe: each check is silent, or names the contradiction.

A contradiction is not a fault of the network. It is evidence, kept whole, and nothing is cosigned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import ConsiliumError, NotProven, Refused
from compliance.ledger.checkpoint import Checkpoint, open_checkpoint
from compliance.ledger.merkle import check_consistency
from compliance.records.agreement import Agreement
from compliance.records.charter import CharterBody
from compliance.records.envelope import parse_event
from compliance.records.types import Record, time_text
from compliance.rules.arrival import predates
from compliance.rules.logs import family_of
from compliance.signing.keys import VerifierKey
from compliance.signing.note import parse
from site_node.gate.keys import Keys
from site_node.gate.mirror import CONSORTIUM


class Contradiction(Refused):
    """The hub shows something that cannot be true; its evidence is kept.

    `parts` holds the evidence by name.
    """

    parts: dict[str, bytes]


@dataclass(frozen=True)
class Identity:
    """Who this site is, the hub whose logs it mirrors, and the agreement its invitation named.

    `agreement` is empty when the hospital joined before the consortium was founded.
    """

    site: str
    hub_name: str
    keys: Keys
    agreement: str = ""

    def origin(self, log: str) -> str:
        """Name of a log: of the consortium's own, or of a study's."""
        return f"{self.hub_name}/{log}" if log == CONSORTIUM else f"{self.hub_name}/study/{log}"


def contradiction(rule: str, finding: str) -> Contradiction:
    """Name what cannot be true."""
    found = Contradiction(
        rule, sentence=f"The hub's log is not believed ({rule}): {finding} Nothing was cosigned."
    )
    found.parts = {}
    return found


def check_charter(me: Identity, study: str, new: Sequence[bytes], *, signed_here: bool) -> None:
    """Check that entry 0 is this log's charter, names our keys, and forges no yes of ours."""
    if not new:
        raise contradiction("checkpoint.old", "the log is empty, without a charter.")
    body = _body_of(new[0], study)
    if not isinstance(body, CharterBody) or body.origin != me.origin(study):
        raise contradiction("checkpoint.origin", "entry 0 is not the charter of this log.")
    mine = body.site(me.site)
    if mine is None:
        raise contradiction("charter.members", "the charter does not name this hospital.")
    _check_mine(me, mine, new[0], signed_here=signed_here)


def check_agreement(me: Identity, new: Sequence[bytes], signed: Sequence[str]) -> None:
    """Check that entry 0 of the consortium's log is the agreement this hospital knows.

    The first contact pins it: what this hospital signed, else what its invitation named; a
    hospital that joined before the founding and signed nothing compares the id by telephone.

    Args:
        me: this hospital.
        new: the entries from the first one on.
        signed: ids of the agreements that were signed here.
    """
    if not new:
        raise contradiction("checkpoint.old", "the log is empty, without an agreement.")
    body, agreement = _body_of(new[0], CONSORTIUM), sha256_id(parse(new[0]).text)
    if not isinstance(body, Agreement) or body.origin != me.origin(CONSORTIUM):
        raise contradiction("checkpoint.origin", "entry 0 is not the agreement of this log.")
    if me.agreement and agreement != me.agreement:
        finding = f"it begins with {agreement}, the invitation named {me.agreement}."
        raise contradiction("checkpoint.origin", finding)
    if signed and agreement not in signed:
        finding = f"it begins with {agreement}, this hospital signed {', '.join(signed)}."
        raise contradiction("own.forged", finding)
    mine = next((row for row in body.members if row.name == me.site), None)
    if mine is not None:
        _check_mine(me, mine, new[0], signed_here=agreement in signed)


def _check_mine(me: Identity, mine: Any, entry0: bytes, *, signed_here: bool) -> None:
    """The keys named for this hospital are its own, and its signature was given here."""
    public = me.keys.public
    found = (mine.institution, mine.node, mine.witness)
    if found != (str(public.institution), str(public.node), str(public.witness)):
        raise contradiction("own.forged", "entry 0 names foreign keys for this hospital.")
    signed = any(line.name == public.institution.name for line in parse(entry0).lines)
    if signed and not signed_here:
        raise contradiction("own.forged", "it holds a signature that this hospital never gave.")


def check_age(log: str, new: Sequence[bytes], start: int, cosigned: int) -> None:
    """Refuse an entry that is said to be much older than what was cosigned here before it.

    A site that was down for days meets no such entry: all of them are newer than its own last
    cosignature. Nor does a site that cosigned a log that was quiet for days: an honest hub takes no
    statement that is so much older than the cosignatures it has.

    Args:
        log: which log.
        new: the entries from index `start` on.
        start: their first index.
        cosigned: when this site accepted the checkpoint before, s since 1970; 0 at first contact.
    """
    if not cosigned:
        return
    for offset, data in enumerate(new):
        note = parse(data)
        said = parse_event(note.text, kinds=family_of(log).kinds).time
        if predates(note, said, cosigned):
            before = time_text(datetime.fromtimestamp(cosigned, UTC))
            finding = f"entry {start + offset} says {said}, cosigned was {before}."
            raise contradiction("time.clock", finding)


def check_prefix(
    known: Checkpoint, new: Checkpoint, note: bytes, proof: Sequence[bytes], key: VerifierKey
) -> None:
    """Check first of all that the log only grew, so that a rewrite is called by its name.

    A checkpoint that the known log key did not sign is left to the later checks: the key may have
    been rotated within the new entries.
    """
    try:
        open_checkpoint(note, key)
    except NotProven:
        return
    if new.size < known.size:
        raise contradiction("checkpoint.old", f"the log went back from {known.size} to {new.size}.")
    try:
        check_consistency(known.size, known.root, new.size, new.root, proof)
    except NotProven as error:
        raise contradiction("checkpoint.proof", f"the log did not only grow: {error}") from error


def _body_of(entry0: bytes, log: str) -> Record | None:
    try:
        return parse_event(parse(entry0).text, kinds=family_of(log).kinds).body
    except ConsiliumError:
        return None
