"""What a witness does not believe: each check is silent, or names the contradiction.

A contradiction is not a fault of the network. It is evidence, kept whole, and nothing is cosigned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compliance.errors import ConsiliumError, NotProven, Refused
from compliance.ledger.checkpoint import Checkpoint, open_checkpoint
from compliance.ledger.merkle import check_consistency
from compliance.records.charter import CharterBody
from compliance.records.envelope import parse_event
from compliance.signing.keys import VerifierKey
from compliance.signing.note import parse
from site_node.gate.keys import Keys


class Contradiction(Refused):
    """The hub shows something that cannot be true; its evidence is kept."""


@dataclass(frozen=True)
class Identity:
    """Who this site is, and the name of the hub whose logs it mirrors."""

    site: str
    hub_name: str
    keys: Keys

    def origin(self, study: str) -> str:
        """Name of a study's log."""
        return f"{self.hub_name}/study/{study}"


def contradiction(rule: str, finding: str) -> Contradiction:
    """Name what cannot be true."""
    return Contradiction(
        rule, sentence=f"The hub's log is not believed ({rule}): {finding} Nothing was cosigned."
    )


def check_charter(me: Identity, study: str, new: Sequence[bytes], *, signed_here: bool) -> None:
    """Check that entry 0 is this log's charter, names our keys, and forges no yes of ours."""
    if not new:
        raise contradiction("checkpoint.old", "the log is empty, without a charter.")
    body = _charter_of(new[0])
    if body is None or body.origin != me.origin(study):
        raise contradiction("checkpoint.origin", "entry 0 is not the charter of this log.")
    mine, public = body.site(me.site), me.keys.public
    if mine is None:
        raise contradiction("charter.members", "the charter does not name this hospital.")
    found = (mine.institution, mine.node, mine.witness)
    if found != (str(public.institution), str(public.node), str(public.witness)):
        raise contradiction("own.forged", "the charter names foreign keys for this hospital.")
    signed = any(line.name == public.institution.name for line in parse(new[0]).lines)
    if signed and not signed_here:
        raise contradiction("own.forged", "it holds a signature that this hospital never gave.")


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


def _charter_of(entry0: bytes) -> CharterBody | None:
    try:
        body = parse_event(parse(entry0).text).body
    except ConsiliumError:
        return None
    return body if isinstance(body, CharterBody) else None
