"""Masked studies at this hospital: the key it publishes, the masks it puts on, what it opens.

The hub only ever learns a sum. Which lists are opened is decided by this hospital's own copy of the
log and by what it remembers: a model is unmasked from once. Everything is kept before it leaves.

Source: design/federation.md §11.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from compliance.canonical import encode, sha256_id
from compliance.errors import Refused
from compliance.records.masking import Commitments, Opened, OpenedShare, Shares, UnmaskOrder
from compliance.records.order import Order
from compliance.records.types import time_text
from compliance.records.wire import COMMITMENTS, SHARES
from compliance.rules.masking import DEFAULT_RANGE, Own, fits, may_answer, threshold
from compliance.rules.state import StudyState
from compliance.rules.verdict import Denied
from compliance.signing.note import parse
from site_node.gate.journal import Clock, Journal
from site_node.gate.keys import Keys
from site_node.gate.masked_update import (
    SEED,
    Channel,
    Scale,
    elements,
    public_of,
    share_out,
    under_masks,
    words_of,
)
from site_node.gate.mirror import Mirror
from site_node.gate.permits import Permit
from site_node.gate.statements import Statements
from site_node.store import masking as table
from site_node.store import outbox
from site_node.store.journal import Sessions, Transaction
from site_node.store.masking import MaskedRow, MaskKeyRow, UnmaskRow


@dataclass(frozen=True)
class Masked:
    """A masked update, and the act that keeps it in the transaction of its answer."""

    wire: bytes
    keep: Callable[[Transaction], None]


class Masking:
    """Keeps what masks are made of.

    Args:
        site: name of this hospital.
        keys: the node key signs mask keys.
        mirror: the own copies of the logs.
        statements: seals and keeps notes.
        sessions: the site's database.
        journal: the site's own record.
        clock: the time now.
        random: so many bytes that nobody can guess.
    """

    def __init__(  # noqa: PLR0913 - built by hand in one place, each part named
        self,
        *,
        site: str,
        keys: Keys,
        mirror: Mirror,
        statements: Statements,
        sessions: Sessions,
        journal: Journal,
        clock: Clock,
        random: Callable[[int], bytes],
    ) -> None:
        self._site, self._keys, self._mirror = site, keys, mirror
        self._statements, self._sessions, self._journal = statements, sessions, journal
        self._clock, self._random = clock, random

    def publish_all(self) -> int:
        """Publish what is due in every study whose log is believed; returns how many keys."""
        studies = [head.study for head in self._mirror.heads()]
        return sum(self.publish(study) for study in studies if not self._mirror.alarms(study))

    def publish(self, study: str) -> bool:
        """Say this hospital's mask key in the log of a masked study that it signed, if it is due.

        Between two rounds only: a round counts with the keys in force when it was opened.
        """
        state = self._mirror.state(study)
        if not self._due(state):
            return False
        private = self._random(SEED)
        public = public_of(private)
        node = self._keys.node
        note = self._statements.seal("mask.key", {"public": public}, log=state.charter_id, key=node)
        row = MaskKeyRow(
            log=state.charter_id,
            public=public,
            private=private,
            text_sha256=sha256_id(parse(note).text),
            at=time_text(self._clock()),
        )
        with self._sessions.begin() as session:
            table.add(session, row)
            self._statements.keep(session, note, study=study, way=outbox.ENTRIES)
            self._journal.within(session, "mask.key", study=study, public=public)
        return True

    def _due(self, state: StudyState) -> bool:
        """Whether the log asks for a key, has none of this home, and none is on its way."""
        over = state.closed is not None or state.stopped is not None
        if not state.charter.aggregator.masked or over or state.open_round is not None:
            return False
        if self._site not in state.active_sites():
            return False
        with self._sessions() as session:
            known = state.mask_keys.get(self._site)
            if known is not None and table.find_key(session, state.charter_id, known) is not None:
                return False
            last = table.newest_key(session, state.charter_id)
            note = None if last is None else outbox.find_note(session, last.text_sha256)
        return note is None or note.refused is not None or note.index is not None

    def wrap(self, permit: Permit, order: Order, delta: bytes, n: int) -> Masked:
        """Mask an update that may leave.

        Args:
            permit: of the round.
            order: what was asked; its leaf is the salt of every seed.
            delta: the update, float32, little-endian.
            n: cases behind it.

        Raises:
            Refused: `mask.key`, `mask.range`, `recipe.scaffold`, or `update.twice`: it was masked
                before, and a second mask under the same keys would uncover it.
        """
        denied = fits(permit.recipe)
        if denied is not None:
            raise denied.refusal()
        channel = self._channel(permit.state, order.log, order.leaf)
        with self._sessions() as session:
            if table.find_masked(session, order.log, order.round) is not None:
                raise Refused("update.twice")
        params = permit.charter.aggregator.params
        scale = Scale(
            int(Decimal(params["n_ref"])), Decimal(params.get("mask_range", DEFAULT_RANGE))
        )
        words = words_of(delta, n, scale)
        own = self._random(SEED)
        pairs = {site: channel.pair_seed(site) for site in channel.keys if site != self._site}
        wire = under_masks(words, self._site, own, pairs)
        row = MaskedRow(
            log=order.log,
            round=order.round,
            leaf=order.leaf,
            update_sha256=sha256_id(wire),
            keys=dict(channel.keys),
            shares=self._shares(channel, own, pairs),
            commitments=_commitments(own, pairs),
        )
        return Masked(wire, lambda session: table.add(session, row))

    def papers(self, log: str, number: int) -> dict[str, bytes]:
        """What travels beside the masked update of a round: the same bytes every time."""
        with self._sessions() as session:
            row = table.find_masked(session, log, number)
        return {} if row is None else {SHARES: row.shares, COMMITMENTS: row.commitments}

    def unmask(self, study: str, state: StudyState, order: UnmaskOrder) -> bytes:
        """Open the shares of an unmasking, once; the same list gets the same bytes again.

        Args:
            study: which one.
            state: where it stands by the own copy.
            order: its entry was found in the own copy.

        Raises:
            Refused: one of the conditions is not met; nothing was opened.
        """
        with self._sessions() as session:
            sent = table.find_masked(session, order.log, order.round)
            before = table.find_unmasked(session, order.log, order.model_sha256)
        own = Own(
            site=self._site,
            update_sha256=sent.update_sha256 if sent else None,
            keys=sent.keys if sent else {},
            answered=before.leaf if before else None,
        )
        verdict = may_answer(state, order, own)
        if isinstance(verdict, Denied) or sent is None:
            raise (verdict if isinstance(verdict, Denied) else Denied("mask.own")).refusal()
        if before is not None:
            return before.answer
        answer = encode(self._open(state, order, sent).plain())
        row = UnmaskRow(
            log=order.log, base_sha256=order.model_sha256, leaf=order.leaf, answer=answer
        )
        with self._sessions.begin() as session:
            table.add(session, row)
            self._journal.within(
                session, "unmasked", study=study, round=order.round, alive=sorted(order.shares)
            )
        return answer

    def _channel(self, state: StudyState, log: str, leaf: str) -> Channel:
        keys = state.running.mask_keys
        return self._channel_of(keys, log, leaf)

    def _channel_of(self, keys: dict[str, str], log: str, leaf: str) -> Channel:
        with self._sessions() as session:
            row = table.find_key(session, log, keys.get(self._site, ""))
        if row is None:
            raise Refused("mask.key", sentence="The mask key in force is not one of this home.")
        return Channel(self._site, row.private, keys, leaf)

    def _shares(self, channel: Channel, own: bytes, pairs: dict[str, bytes]) -> bytes:
        sites = sorted(channel.keys)
        seeds = [own, *(pairs[site] for site in sites if site != self._site)]
        texts = share_out(seeds, threshold(len(sites)), len(sites), self._random)
        sealed = {site: channel.seal(site, text) for site, text in zip(sites, texts, strict=True)}
        return encode(Shares(to=sealed).plain())

    def _open(self, state: StudyState, order: UnmaskOrder, sent: MaskedRow) -> Opened:
        """Of each alive hospital its own seed's share, and those of its seeds with the gone."""
        lists = state.running.unmasking
        gone = lists.gone if lists is not None else ()
        channel = self._channel_of(sent.keys, order.log, sent.leaf)
        told = {}
        for sender, sealed in order.shares.items():
            others = [site for site in sorted(sent.keys) if site != sender]
            own, *pairs = elements(channel.open(sender, sealed), len(sent.keys))
            shares = dict(zip(others, pairs, strict=True))
            told[sender] = OpenedShare(own=own, pairs={site: shares[site] for site in gone})
        return Opened(of=told)


def _commitments(own: bytes, pairs: dict[str, bytes]) -> bytes:
    hashes = {site: sha256_id(seed) for site, seed in pairs.items()}
    return encode(Commitments(own=sha256_id(own), pairs=hashes).plain())
