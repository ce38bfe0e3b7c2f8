"""Rotation: a key of this hospital is replaced, in every log that knows it, by its own statements.

The new key lies beside the old one until the logs say that it is in force; then the files change
places. Killed in between, the same command or the agent goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from compliance.errors import NotReady, Refused
from compliance.records.envelope import parse_event
from compliance.records.keys import KeyRotated
from compliance.records.reasons import Rotated
from compliance.records.types import time_text
from compliance.rules.logs import State, family_of
from compliance.rules.verdict import Denied
from compliance.signing.keys import VerifierKey
from compliance.signing.note import parse
from site_node.gate.hub_client import HubClient
from site_node.gate.journal import Clock, Journal
from site_node.gate.keys import ROLES, Keys
from site_node.gate.mirror import CONSORTIUM, Mirror
from site_node.gate.motions import Motions
from site_node.gate.statements import Statements
from site_node.store import outbox
from site_node.store.journal import Sessions

REASONS = (Rotated.PLANNED, Rotated.LOST, Rotated.STOLEN)
KIND = "key.rotated"


class Rotation:
    """Replaces keys of this hospital, and agrees to new keys of others.

    Args:
        site: this hospital.
        keys: the key files.
        hub: the way out.
        mirror: which keys are in force, by the site's own folds.
        motions: where several hospitals must agree.
        statements: seals, keeps and delivers.
        sessions: the site's database.
        journal: every change is written down.
        clock: the time now.
    """

    def __init__(  # noqa: PLR0913 - built by hand in one place, each part named
        self,
        *,
        site: str,
        keys: Keys,
        hub: Callable[[], HubClient],
        mirror: Mirror,
        motions: Motions,
        statements: Statements,
        sessions: Sessions,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._site, self._keys, self._hub, self._mirror = site, keys, hub, mirror
        self._motions, self._statements = motions, statements
        self._sessions, self._journal, self._clock = sessions, journal, clock

    def rotate(
        self,
        role: str,
        reason: str,
        *,
        passphrase: str | None,
        new_passphrase: str | None,
        random: Callable[[int], bytes],
    ) -> dict[str, Any]:
        """Make a new key and say so in every log, signed by the institution's key in force.

        A lost or stolen institution key cannot speak for its successor: then nothing is sent, and
        the answer names what the other hospitals must do.

        Args:
            role: node, witness or institution.
            reason: planned, lost or stolen.
            passphrase: of the institution's key in force.
            new_passphrase: of a new institution key.
            random: source of the new key.

        Raises:
            NotReady: unknown role or reason, no consortium, or a round waits for this node.
            Refused: a rule says no, or the passphrase is wrong.
        """
        self._check(role, reason)
        new = self._keys.prepare(role, self._site, new_passphrase, random)
        name = f"{self._site}/{role}"
        told = {"name": name, "vkey": str(new), "reason": reason}
        if role == "institution" and reason != Rotated.PLANNED:
            self._journal.write("key.prepared", name=name, vkey=str(new), reason=reason)
            return told | {"peers": True, "logs": self._logs(name), "in_force": False}
        key = self._keys.institution(passphrase)
        logs = [log for log in self._logs(name) if self._held(log, name) != new]
        for log in logs:
            self._allowed(log, told, key.name)
        with self._sessions.begin() as session:
            for log in logs:
                log_id = self._mirror.log_state(log).charter_id
                note = self._statements.seal(KIND, told, log=log_id, key=key)
                self._statements.keep(session, note, study=log, way=outbox.ENTRIES)
            self._journal.within(session, "key.rotating", name=name, vkey=str(new), reason=reason)
        self._statements.deliver(self._hub())
        self.settle()
        in_force = not self._keys.coming(role).exists()
        return told | {"peers": False, "logs": self._logs(name), "in_force": in_force}

    def replace(
        self, name: str, vkey: str, reason: str, passphrase: str | None
    ) -> list[dict[str, Any]]:
        """Agree, as another hospital, that a lost or stolen key is replaced; one text for each log.

        Args:
            name: the key, such as `south.example/institution`.
            vkey: its successor, as the hospital told it by telephone.
            reason: lost, stolen, or takeover for a key of the hub.
            passphrase: of this hospital's institution key.

        Raises:
            NotReady: no log here knows the key.
            Refused: this hospital's own questions say no.
        """
        key = VerifierKey.parse(vkey)
        logs = [log for log in self._logs(name) if self._held(log, name) != key]
        if not logs:
            raise NotReady(
                f"no log here knows a key {name} that this would replace.",
                "Read its name again: `consilium site agreement`.",
            )
        body = {"name": name, "vkey": vkey, "reason": reason}
        return [self._motions.propose(log, KIND, body, passphrase) for log in logs]

    def takeover(
        self, wanted: Sequence[dict[str, str]], passphrase: str | None, told: str
    ) -> list[dict[str, Any]]:
        """Agree that a successor's keys take the place of the lost hub's, in each log.

        Args:
            wanted: log, name and public half of each key, as the successor tells and people read.
            passphrase: of this hospital's institution key.
            told: the successor's own key, as the code said that this hospital followed.

        Raises:
            Refused: a key is of another name than the hub's, not the one that people told, or a
                rule says no. Nothing is signed then, in any log.
            NotReady: the log is not mirrored here.
        """
        for row in wanted:
            self._of_the_hub(row, told)
        return [self._take_over(row, passphrase) for row in wanted]

    def _of_the_hub(self, row: dict[str, str], told: str) -> None:
        key, log = VerifierKey.parse(row["vkey"]), row["log"]
        holder = self._state(log).keys.holders.get(row["name"])
        if key.name != row["name"] or holder is None or holder.role not in ("H", "L"):
            raise Refused("key.name", row["name"], "a key of the hub")
        if holder.role == "H" and row["vkey"] != told:
            sentence = "The hub asks for another key than the code named that was followed here."
            raise Refused("key.name", row["vkey"], told, sentence)

    def _take_over(self, row: dict[str, str], passphrase: str | None) -> dict[str, Any]:
        body = {"name": row["name"], "vkey": row["vkey"], "reason": str(Rotated.TAKEOVER)}
        made = self._motions.propose(row["log"], KIND, body, passphrase)
        return made | {"name": row["name"]}

    def settle(self) -> list[str]:
        """Put new keys into use that are in force by now; returns their roles."""
        done = []
        for role in ROLES:
            if self._keys.coming(role).exists() and self._in_force(role):
                old = self._keys.take_over(role)
                self._journal.write("key.in.use", name=f"{self._site}/{role}", old=old)
                done.append(role)
        return done

    def _in_force(self, role: str) -> bool:
        """A node signs requests: for it the hub's receipt counts, for the others the own mirrors.

        A witness needs its old key as long as a log has not shown the change.
        """
        name, new = f"{self._site}/{role}", self._keys.coming_public(role)
        if role == "node" and self._delivered(name, new):
            return True
        logs = self._logs(name) if role == "witness" else [CONSORTIUM]
        held = [self._held(log, name) for log in logs]
        return bool(held) and all(key == new for key in held)

    def _delivered(self, name: str, new: VerifierKey) -> bool:
        with self._sessions() as session:
            rows = outbox.of_study(session, CONSORTIUM)
        for row in rows:
            body = parse_event(parse(row.note).text).body
            said = isinstance(body, KeyRotated) and (body.name, body.vkey) == (name, str(new))
            if said and row.sent_at and not row.refused:
                return True
        return False

    def _check(self, role: str, reason: str) -> None:
        if role not in ROLES:
            raise NotReady(f"{role!r} is no key of a hospital.", f"Choose: {', '.join(ROLES)}.")
        if reason not in REASONS:
            raise NotReady(
                f"{reason!r} is no reason of the list.", f"Choose: {', '.join(REASONS)}."
            )
        if self._mirror.consortium() is None:
            raise NotReady(
                "the consortium is not founded yet, or its log is not mirrored here.",
                "Keys are replaced in its log; run `consilium site serve` first.",
            )
        if role == "node":
            self._no_round_waits()

    def _no_round_waits(self) -> None:
        for head in self._mirror.heads():
            running = self._mirror.state(head.study).open_round
            if running is None or running.deadline <= time_text(self._clock()):
                continue
            if self._site in running.sites and self._site not in running.submitted:
                raise NotReady(
                    f"round {running.number} of study {head.study} waits for this node.",
                    "Try again when it is over, or stop the study.",
                )

    def _logs(self, name: str) -> list[str]:
        """Every mirrored log that knows this key; the consortium's own comes last."""
        logs = [head.study for head in self._mirror.all_heads()]
        logs.sort(key=lambda log: log == CONSORTIUM)
        return [log for log in logs if name in self._state(log).keys.current]

    def _held(self, log: str, name: str) -> VerifierKey | None:
        return self._state(log).keys.current.get(name)

    def _state(self, log: str) -> State:
        return self._mirror.log_state(log)

    def _allowed(self, log: str, body: dict[str, Any], actor: str) -> None:
        now = time_text(self._clock())
        verdict = family_of(log).may(self._state(log), KIND, body, actor, now)
        if isinstance(verdict, Denied):
            raise verdict.refusal()
