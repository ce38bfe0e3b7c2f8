"""A hub made again from the hospitals' mirrors, or brought up to date from them.

One transaction writes all logs and what follows from them, or nothing. The mark that keeps the hub
from writing is set before it and lifted after it, log by log, as soon as enough witnesses have said
that nothing is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from compliance.errors import Malformed, NotReady, Refused
from compliance.records.types import seconds_of
from compliance.report.heads import Heads
from compliance.rules.consortium.state import ConsortiumState, Listed
from compliance.rules.logs import State, family_of
from hub.services import copies
from hub.services.copies import Copy
from hub.services.entries import put_entry
from hub.services.given_up import gone, gone_in
from hub.services.held import EVERY, REBUILT, Held, Mark
from hub.services.indexes import index_charter, index_consortium
from hub.services.keys import KeyStore
from hub.services.ledger import LedgerService
from hub.services.logbook import CONSORTIUM
from hub.storage import ledger as rows
from hub.storage.database import Database, Transaction

LOST = (
    "accounts, roles and passwords of people: add them with `consilium hub user add`",
    "model weights, unless the mirrors were written with --weights",
    "sealed details and the directory of researchers' names",
    "descriptions of datasets; the Flower keys come back with `consilium site follow`",
    "refusals of charters, motions that waited, and charters that were not launched",
)
"""What does not stand in the logs."""


@dataclass(frozen=True)
class Outcome:
    """What became of it.

    Args:
        sizes: entries of each log now.
        added: how many of them are new here.
        roots: the root of each log.
        hospitals: whose statements were read and hold.
        lacking: logs that still rest, each with how many of whom are needed.
        missing: studies that the consortium lists and nobody brought.
        agreement: id of the agreement, to be compared by eye.
    """

    sizes: dict[str, int]
    added: dict[str, int]
    roots: dict[str, str]
    hospitals: list[str]
    lacking: dict[str, str]
    missing: list[str]
    agreement: str


class RebuildService:
    """Takes logs from mirrors.

    Args:
        database: where the logs lie.
        ledger: the logs, for their locks and memory.
        held: which logs rest.
        keys: the keys of this hub.
    """

    def __init__(
        self, *, database: Database, ledger: LedgerService, held: Held, keys: KeyStore
    ) -> None:
        self._database, self._ledger, self._held = database, ledger, held
        self._hub_name, self._events, self._log_key = keys.hub_name, keys.events, keys.log

    def rebuild(self, folders: Sequence[Path], lost: str) -> Outcome:
        """Write the logs of a hub that is lost into this empty one.

        Args:
            folders: mirrors of hospitals.
            lost: when the old hub answered last; mirrors made before do not count as voices.

        Raises:
            NotReady: this hub has logs already, or has another name than the lost one.
            NotProven: a mirror does not hold, or two tell two histories.
        """
        if self._ledger.logs() and self._held.mark() is None:
            raise NotReady(
                "this hub has logs already.",
                "Make a new home with `consilium hub init`, and rebuild there. If a rebuild ended "
                "early here, its logs are whole: `consilium hub resume` looks for models.",
            )
        try:
            seconds_of(lost)
        except Malformed:
            raise NotReady(
                f"{lost!r} is no UTC time.", "Write it as 2026-11-29T04:00:00Z."
            ) from None
        mirrors = [copies.read_mirror(folder) for folder in folders]
        self._held.keep(Mark(REBUILT, lost, (EVERY,)))
        return self._take(mirrors)

    def resume(self, folders: Sequence[Path], without: Sequence[str] = ()) -> Outcome:
        """Fill in what mirrors have more of, and write again where enough witnesses spoke.

        Args:
            folders: mirrors of hospitals.
            without: studies to give up: nobody has their log any more. There is no way back.

        Raises:
            NotReady: this hub may write already, or a study to give up is not missing.
            NotProven: a mirror does not hold, or tells another history than this hub.
        """
        if self._held.mark() is None:
            raise NotReady("this hub may write already.", "There is nothing to resume.")
        made = self._take([copies.read_mirror(folder) for folder in folders], without)
        self.record_given_up()
        return made

    def record_given_up(self) -> list[str]:
        """Put on record what was given up here, as soon as this hub may; returns what waits.

        The entry says that the records are gone; the list says that the study is closed.
        """
        state, lost = self._ledger.founded(), set(self._held.given_up.charters())
        if state is None or not lost:
            return []
        said = gone(self._ledger.events(CONSORTIUM, "erasure.done"), self._events.name)
        waiting = sorted(lost - said)
        try:
            for charter in waiting:
                self._record(charter, state.studies[charter])
        except Refused:  # it only reads, or is not the hub of this log yet: said later
            return waiting
        return []

    def _record(self, charter: str, listed: Listed) -> None:
        with self._ledger.writing(CONSORTIUM) as session:
            body = {"what": "study_records", "commitment": charter}
            self._ledger.say_in(session, CONSORTIUM, "erasure.done", body)
            if listed.closed is None:
                ended = {"charter": charter, "origin": listed.origin, "entry0": listed.entry0}
                ended_by = ended | {"on_behalf": None}
                self._ledger.say_in(session, CONSORTIUM, "study.closed", ended_by)

    def takeover(self) -> list[dict[str, str]]:
        """Keys of this hub that are not in force yet: log, name and public half of each.

        The log's own key comes first: from then on the hub can sign what it takes in.
        """
        wanted = []
        for log in self._ledger.logs():
            state = self._ledger.state_of(log)
            held = state.keys.current
            if self._events.name not in held or held[self._events.name] == self._events.verifier:
                continue
            log_key = self._log_key(log)
            for key in (log_key, self._events):
                if held[key.name] != key.verifier:
                    wanted.append({"log": log, "name": key.name, "vkey": str(key.verifier)})
        return wanted

    def _take(self, mirrors: Sequence[copies.Mirrored], without: Sequence[str] = ()) -> Outcome:
        mark = self._held.mark()
        erased, given = self._erased(mirrors), set(self._held.given_up.charters())
        mirrors = [_less_gone(mirror, erased | given) for mirror in mirrors]
        names = {log for mirror in mirrors for log in mirror.copies} | set(self._ledger.logs())
        logs = sorted(names - {CONSORTIUM})
        with self._ledger.writing(*logs, CONSORTIUM, before=("members", "charters")) as session:
            own = {log: self._own(session, log) for log in names}
            best = {log: _best(log, own[log], mirrors) for log in names}
            states = self._one_consortium(best)
            lost = copies.same_listing(states, erased)
            known = [study for study, charter in lost.items() if charter in given]
            missing = _less(lost, without, known)
            voices = [one.heads for one in mirrors if copies.check_voice(one.heads, states)]
            added = {log: self._write(session, best[log], own[log]) for log in sorted(names)}
            self._index(session, best)
        self._held.given_up.add([lost[study] for study in without])
        fresh = {log for log in names if own[log] is None}
        lacking = self._lift(mark, states, voices, (fresh, missing)) if mark else {}
        return Outcome(
            sizes={log: state.size for log, state in sorted(states.items())},
            added=added,
            roots={log: state.tree.root().hex() for log, state in sorted(states.items())},
            hospitals=sorted({one.site for one in voices}),
            lacking=lacking,
            missing=missing,
            agreement=states[CONSORTIUM].charter_id,
        )

    def _erased(self, mirrors: Sequence[copies.Mirrored]) -> set[str]:
        """Charters of studies whose records are gone, by any copy of the consortium's log."""
        found = [one.copies[CONSORTIUM].entries for one in mirrors if CONSORTIUM in one.copies]
        if CONSORTIUM in self._ledger.logs():
            found.append(self._ledger.entries(CONSORTIUM, 0))
        return {charter for entries in found for charter in gone_in(entries, self._events.name)}

    def _own(self, session: Transaction, log: str) -> Copy | None:
        state = self._ledger.state_in(session, log)
        if state is None:
            return None
        return Copy(log, "this hub", rows.read_entries(session, log, 0), state)

    def _one_consortium(self, best: dict[str, Copy]) -> dict[str, State]:
        if CONSORTIUM not in best:
            raise NotReady("no mirror holds the consortium's own log.", copies.FIX)
        for copy in best.values():
            hub = copy.state.origin.partition("/")[0]
            if hub != self._hub_name:
                raise NotReady(
                    f"the mirrors are of the hub {hub}, this one is {self._hub_name}.",
                    f"Make a home with `consilium hub init --name {hub}` and rebuild there.",
                )
        return {log: copy.state for log, copy in best.items()}

    def _write(self, session: Transaction, copy: Copy, own: Copy | None) -> int:
        have = own.state.size if own else 0
        if own is None:
            state = copy.state
            row = rows.LogRow(
                study=copy.log,
                origin=state.origin,
                log_id=state.charter_id,
                vkey=state.log_key,
                size=0,
            )
            rows.add_log(session, row)
        if copy.state.size > have:
            _put(session, copy, have)
        for signed in copy.signed:
            _keep_checkpoint(session, copy, signed)
        return copy.state.size - have

    def _index(self, session: Transaction, best: dict[str, Copy]) -> None:
        """Rows that help to find things; every one of them follows from the entries."""
        consortium = best[CONSORTIUM]
        if isinstance(consortium.state, ConsortiumState):
            index_consortium(session, consortium.entries, consortium.state)
        for log, copy in sorted(best.items()):
            if log != CONSORTIUM:
                index_charter(session, log, copy.entries[0])

    def _lift(
        self,
        mark: Mark,
        states: dict[str, State],
        voices: Sequence[Heads],
        new: tuple[set[str], list[str]],
    ) -> dict[str, str]:
        """Let go of each log whose witnesses spoke; returns those that rest on, with who is needed.

        What the consortium lists and nobody brought stays shut in any case.
        """
        fresh, absent = new
        resting = set(states) if EVERY in mark.logs else (set(mark.logs) | fresh) & set(states)
        wanted = {log: state for log, state in states.items() if log in resting}
        lacking = copies.agreeing(wanted, voices, mark.since)
        self._held.keep(Mark(mark.why, mark.since, tuple(sorted({*lacking, *absent}))))
        return lacking


def _less_gone(mirror: copies.Mirrored, charters: set[str]) -> copies.Mirrored:
    """A mirror without studies whose records are gone: these do not come back."""
    kept = {log: copy for log, copy in mirror.copies.items()
            if copy.state.charter_id not in charters}  # fmt: skip
    return replace(mirror, copies=kept)


def _less(lost: dict[str, str], without: Sequence[str], known: Sequence[str]) -> list[str]:
    """What is still missing when these are given up, and those that were before.

    Raises:
        NotReady: one of them is not missing.
    """
    strangers = sorted(set(without) - set(lost))
    missing = sorted(set(lost) - set(known))
    if strangers:
        raise NotReady(
            f"the log of {strangers[0]} is not missing here, or no study has this id.",
            f"Missing: {', '.join(missing) or 'none'}.",
        )
    return [study for study in missing if study not in without]


def _best(log: str, own: Copy | None, mirrors: Sequence[copies.Mirrored]) -> Copy:
    """The longest copy, with the checkpoints of all: one mirror may have a quorum, another none."""
    found = [mirror.copies[log] for mirror in mirrors if log in mirror.copies]
    best = copies.longest(([own] if own else []) + found)
    signed = [one for copy in found for one in copy.signed]
    return Copy(log, best.where, best.entries, best.state, signed)


def _put(session: Transaction, copy: Copy, have: int) -> None:
    """Write the entries from index `have` on, with the subtrees that each completes."""
    family, state = family_of(copy.log), None
    for index, note in enumerate(copy.entries):
        state = family.advance(state, note, index)
        if index >= have:
            put_entry(session, copy.log, note, state)


def _keep_checkpoint(session: Transaction, copy: Copy, signed: copies.Signed) -> None:
    if rows.find_checkpoint(session, copy.log, signed.size) is None:
        row = rows.CheckpointRow(
            study=copy.log,
            size=signed.size,
            note=signed.note,
            issued_at=copy.state.newest_time,
            quorum=False,
        )
        rows.add_checkpoint(session, row)
    for name, (line, time) in signed.lines.items():
        found = rows.CosignatureRow(
            study=copy.log, size=signed.size, key_name=name, line=line, time=time
        )
        rows.add_cosignature(session, found)
    if signed.quorum:
        rows.mark_quorum(session, copy.log, signed.size)
