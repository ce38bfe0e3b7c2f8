"""Witnesses in memory: each keeps its checkpoint and its own fold, and cosigns what only grew."""

from __future__ import annotations

from collections.abc import Sequence

from compliance.ledger.checkpoint import Checkpoint, sign
from compliance.ledger.cosign import OK, answer, cosign
from compliance.ledger.merkle import Tree, leaf_hash
from compliance.ledger.policy import Policy, policy_of_charter
from compliance.rules.fold import advance, judge
from compliance.rules.state import StudyState
from compliance.rules.verdict import Denied
from compliance.signing.keys import COSIGNATURE, NOTE, SigningKey
from compliance.signing.note import assemble, parse
from tests import factories as make
from tests.simulator import Federation

LOG = make.key(make.ORIGIN)
TIME = 1_795_000_000


def tree_of(entries: Sequence[bytes]) -> Tree:
    """The tree over some entries."""
    tree = Tree()
    for note in entries:
        tree.append(leaf_hash(note))
    return tree


def checkpoint_of(entries: Sequence[bytes], key: SigningKey = LOG) -> bytes:
    """A checkpoint that the hub signs over these entries, whatever they are."""
    return sign(Checkpoint(make.ORIGIN, len(entries), tree_of(entries).root()), key)


class Watcher:
    """One hospital's witness.

    Args:
        site: whose.
    """

    def __init__(self, site: str) -> None:
        self.site, self.key = site, make.key(f"{site}/witness", COSIGNATURE)
        self.known: Checkpoint | None = None
        self.state: StudyState | None = None
        self.status, self.rule = OK, ""

    def look(
        self,
        entries: Sequence[bytes],
        *,
        note: bytes | None = None,
        proof: list[bytes] | None = None,
    ) -> str | None:
        """Look at a log; the cosignature line, or None with `status` or `rule` saying why not."""
        size = self.known.size if self.known else 0
        shown = note or checkpoint_of(entries)
        tree = tree_of(entries)
        if proof is None:
            proof = tree.consistency(size) if size <= tree.size else []
        said = answer(self.known, size, proof, shown, LOG.verifier)
        self.status, self.rule = said.status, ""
        if said.status != OK or said.known is None or not self._obeys(entries[size:]):
            return None
        if self.state is None or self.state.root() != said.known.root:
            self.rule = "checkpoint.entries"
            return None
        self.known = said.known
        return cosign(parse(shown).text, self.key, TIME)

    def _obeys(self, new: Sequence[bytes]) -> bool:
        for note in new:
            verdict = judge(self.state, note)
            if isinstance(verdict, Denied):
                self.rule = verdict.rule
                return False
            self.state = advance(self.state, note, self.state.size if self.state else 0)
        return True


def policy_of(world: Federation) -> Policy:
    """Whose cosignatures count in a study."""
    return Policy.parse(policy_of_charter(world.state.charter))


def with_lines(note: bytes, *lines: str | None) -> bytes:
    """A checkpoint with the cosignatures that were given."""
    parsed = parse(note)
    return assemble(parsed.text, [*parsed.lines, *(line for line in lines if line)])


def stranger(name: str, kind: int = NOTE) -> SigningKey:
    """A key that nobody knows, under whatever name."""
    return make.key(name, kind, generation=99)
