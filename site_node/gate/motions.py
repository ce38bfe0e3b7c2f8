"""Motions: texts that wait for the signatures of several hospitals, judged and signed here.

What is signed is the text itself, read from its own bytes; nothing that the hub says about it
counts. Only a person with the institution key signs, never the node by itself. What was signed is
kept before it is sent: the witness knows it as this hospital's own, and it is sent again later.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import Malformed, NotReady, Refused, Unreachable
from compliance.records.decisions import StudyResumed
from compliance.records.envelope import Event, parse_event, write_event
from compliance.records.kinds import AGREEMENT
from compliance.records.members import MemberAdmitted
from compliance.records.types import Record, time_text
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.logs import State, family_of
from compliance.signing.keys import SigningKey
from compliance.signing.note import parse, seal
from site_node.gate.hub_client import HubClient
from site_node.gate.journal import Clock, Journal
from site_node.gate.keys import Keys
from site_node.gate.mirror import CONSORTIUM, Mirror
from site_node.gate.motion_checks import Questions
from site_node.gate.statements import NOT_HEARD, Statements
from site_node.store import outbox
from site_node.store import studies as decisions
from site_node.store.journal import Sessions
from site_node.store.studies import StudyDecision

SHORTEST = 6
TYPED = 8
KEPT = "kept"
"""Signed here, and not yet handed over."""


@dataclass(frozen=True)
class Motion:
    """A text that waits: its id is the hash of its bytes, everything else is read from them.

    Args:
        motion: `sha256:` of the text.
        log: `consortium`, or a study.
        text: as it would be signed.
        event: the same, read.
        state: what the hub says: open, carried, refused or expired.
        signed: names that the hub says have signed.
        wanting: names that could still sign.
    """

    motion: str
    log: str
    text: bytes
    event: Event
    state: str
    signed: list[str]
    wanting: list[str]

    def plain(self) -> dict[str, Any]:
        """The motion for machines."""
        return {
            "id": self.motion,
            "log": self.log,
            "kind": self.event.type,
            "state": self.state,
            "body": self.event.body.plain(),
            "signed": self.signed,
            "wanting": self.wanting,
        }


class Motions:
    """Reads, signs and proposes texts of which several hospitals must sign one.

    Args:
        keys: the institution key is unlocked for one act at a time.
        hub: the way out.
        mirror: the site's own copies of the logs.
        questions: what this hospital asks before it signs.
        statements: keeps what this hospital says.
        sessions: the site's database.
        journal: every signature is written down.
        clock: the time now.
        nonce: 32 hex digits, new each time.
    """

    def __init__(  # noqa: PLR0913 - built by hand in one place, each part named
        self,
        *,
        keys: Keys,
        hub: Callable[[], HubClient],
        mirror: Mirror,
        questions: Callable[[], Questions],
        statements: Statements,
        sessions: Sessions,
        journal: Journal,
        clock: Clock,
        nonce: Callable[[], str],
    ) -> None:
        self._keys, self._hub, self._mirror = keys, hub, mirror
        self._questions, self._statements = questions, statements
        self._sessions, self._journal = sessions, journal
        self._clock, self._nonce = clock, nonce

    def all(self) -> list[Motion]:
        """Every text that waits, and those that were carried last."""
        return [read_motion(row) for row in self._hub().motions()]

    def find(self, motion: str) -> Motion:
        """One motion by the first characters of its id.

        Raises:
            NotReady: none or several fit.
        """
        wanted = motion.removeprefix("sha256:").lower()
        rows = self.all()
        found = [row for row in rows if row.motion.removeprefix("sha256:").startswith(wanted)]
        if len(wanted) < SHORTEST or len(found) != 1:
            raise NotReady(
                f"{len(found)} texts fit {motion!r}.", "List them: `consilium site motions`."
            )
        return found[0]

    def admission(self, site: str) -> Motion:
        """The open motion that admits a hospital.

        Raises:
            NotReady: nobody asks for it.
        """
        for row in self.all():
            body = row.event.body
            if row.state == "open" and isinstance(body, MemberAdmitted) and body.site == site:
                return row
        raise NotReady(
            f"{site} does not ask to be admitted.", "List them: `consilium site motions`."
        )

    def in_force(self, motion: Motion) -> Record | None:
        """The charter or agreement that an amendment would replace, by this site's own fold."""
        if not motion.event.type.endswith(".amended") or self._mirror.head(motion.log) is None:
            return None
        state = self._mirror.log_state(motion.log)
        return state.agreement if isinstance(state, ConsortiumState) else state.charter

    def sign(self, motion: Motion, passphrase: str | None, confirmed: str | None) -> dict[str, Any]:
        """Sign the text that was shown, after the questions of this hospital.

        Args:
            motion: as `find` returned it; its bytes are signed, whatever the hub holds by now.
            passphrase: of the institution's key; None when it has none.
            confirmed: the first 8 characters of the id as typed, None if not asked.

        Raises:
            Refused: other characters were typed, or this hospital's own questions say no.
            NotReady: it waits no more.
        """
        if motion.state != "open":
            raise NotReady(f"this text is {motion.state}.", "There is nothing to sign.")
        expected = motion.motion.removeprefix("sha256:")[:TYPED]
        if confirmed is not None and confirmed.strip().lower() != expected:
            raise Refused("confirm.typed", sentence="Other characters were typed: nothing signed.")
        self._ask(motion.log, motion.text, motion.event)
        key = self._keys.institution(passphrase)
        self._keep(motion.log, motion.text, motion.event.type, key)
        return self._hand_over(motion.log, motion.text, key.line(motion.text)) | {"by": key.name}

    def ask_admission(self, country: str, passphrase: str | None) -> dict[str, Any]:
        """Ask the members to admit this hospital, with its own signature first."""
        public = self._keys.public
        body = {
            "site": public.node.name.partition("/")[0],
            "institution": str(public.institution),
            "node": str(public.node),
            "witness": str(public.witness),
            "country": country,
        }
        return self.propose(CONSORTIUM, "member.admitted", body, passphrase)

    def suspend(self, site: str, reason: str, passphrase: str | None) -> dict[str, Any]:
        """Propose that a hospital is suspended, or sign the text that says so already."""
        body = {"site": site, "reason": reason}
        return self.propose(CONSORTIUM, "member.suspended", body, passphrase)

    def resume(self, study: str, passphrase: str | None) -> dict[str, Any]:
        """Agree that a study is resumed: sign the text that waits, or propose it.

        Raises:
            NotReady: the study is not stopped, by this hospital's own fold.
        """
        state = self._mirror.state(study)
        if state.stopped is None:
            raise NotReady("this study is not stopped.", "There is nothing to resume.")
        told = StudyResumed(stopped=state.stopped).plain()
        return self.propose(study, "study.resumed", told, passphrase)

    def propose(
        self, log: str, kind: str, body: dict[str, Any], passphrase: str | None
    ) -> dict[str, Any]:
        """Lay a text before the others, or sign the one that says the same already.

        Raises:
            Refused: this hospital's own questions, or the hub, say no.
            NotReady: the log is not mirrored here.
        """
        for row in self.all():
            same = (row.log, row.event.type, row.state) == (log, kind, "open")
            if same and row.event.body.plain() == body:
                return self.sign(row, passphrase, None)
        key = self._keys.institution(passphrase)
        text = write_event(
            kind,
            body,
            time=time_text(self._clock()),
            actor=key.name,
            log=self._log_id(log),
            nonce=self._nonce(),
            kinds=family_of(log).kinds,
        )
        self._ask(log, text, parse_event(text, kinds=family_of(log).kinds))
        self._keep(log, text, kind, key)
        return self._hand_over(log, text, key.line(text)) | {"by": key.name}

    def keep_word(self) -> None:
        """Hand over what was signed while the hub was away."""
        with self._sessions() as session:
            waiting = outbox.waiting_motions(session)
        for row in waiting:
            note = parse(row.note)
            lines = [str(line) for line in note.lines]
            if self._hand_over(str(row.study), note.text, lines[0])["state"] == KEPT:
                return

    def _ask(self, log: str, text: bytes, event: Event) -> None:
        for alarm in self._mirror.alarms(log) + self._mirror.alarms(CONSORTIUM):
            raise Refused(alarm.rule, sentence=f"The log is not believed: {alarm.finding}")
        self._questions().ask(log, text, event, self._state(log))

    def _state(self, log: str) -> State | None:
        return self._mirror.log_state(log) if self._mirror.head(log) else None

    def _log_id(self, log: str) -> str:
        state = self._state(log)
        if state is None:
            raise NotReady(
                "the consortium is not founded yet, or its log is not mirrored here.",
                "Run `consilium site serve`, or ask the hub's administrator.",
            )
        return state.charter_id

    def _keep(self, log: str, text: bytes, kind: str, key: SigningKey) -> None:
        """Keep what is signed before it is sent."""
        motion = sha256_id(text)
        with self._sessions.begin() as session:
            self._statements.keep(session, seal(text, key), study=log, way=outbox.MOTIONS)
            if kind == AGREEMENT:
                row = StudyDecision(
                    charter_id=motion,
                    study=CONSORTIUM,
                    state=decisions.SIGNED,
                    text=text,
                    line=key.line(text),
                    at=time_text(self._clock()),
                    sent=True,
                )
                decisions.decide(session, row)
            self._journal.within(session, "motion.signed", study=log, motion=motion, what=kind)

    def _hand_over(self, log: str, text: bytes, line: str) -> dict[str, Any]:
        """Send a signature under a text; the hub may know the text already, or learn it now."""
        motion = sha256_id(text)
        try:
            if any(row["id"] == motion for row in self._hub().motions()):
                told = self._hub().sign_motion(motion, line)
            else:
                told = self._hub().propose_motion(log, text, line)
        except Unreachable:
            return {"id": motion, "log": log, "state": KEPT, "wanting": []}
        except Refused as error:
            if error.rule not in NOT_HEARD:
                with self._sessions.begin() as session:
                    outbox.mark_refused(session, motion, error.rule)
            raise
        with self._sessions.begin() as session:
            outbox.mark_delivered(session, motion, time_text(self._clock()))
        return read_motion(told).plain()


def read_motion(told: dict[str, Any]) -> Motion:
    """Read a motion as the hub hands it out.

    Raises:
        Refused: the text has another hash than its id.
        Malformed: the text cannot be read.
    """
    try:
        text = base64.b64decode(told["text_base64"], validate=True)
        motion, log, state = str(told["id"]), str(told["log"]), str(told["state"])
        signed = [str(row["name"]) for row in told["signatures"]]
        wanting = [str(name) for name in told["wanting"]]
    except (KeyError, TypeError, binascii.Error):
        raise Malformed("answer of the hub", "a motion is unreadable") from None
    if sha256_id(text) != motion:
        raise Refused(
            "event.form",
            sentence="The hub handed out another text than the one with this id; do not sign it.",
        )
    event = parse_event(text, kinds=family_of(log).kinds)
    return Motion(motion, log, text, event, state, signed, wanting)
