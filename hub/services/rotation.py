"""The hub's own keys are replaced: planned by itself; lost or stolen by most of the hospitals.

A key file is there before a log names it, and the old one is kept: whatever is cut short can be
ended. Source: design/ledger.md §3.
"""

from __future__ import annotations

from typing import Any

from compliance.errors import NotReady
from compliance.records.reasons import Rotated
from compliance.signing.keys import SigningKey
from hub.services.keys import KeyStore
from hub.services.ledger import LedgerService
from hub.services.logbook import CONSORTIUM
from hub.storage.database import Transaction

KIND = "key.rotated"
EVENTS, LOG = "events", "log"
REASONS = (Rotated.PLANNED, Rotated.LOST, Rotated.STOLEN)


class KeyRotation:
    """Replaces the key by which the hub speaks, or the key of one log.

    Args:
        ledger: where the change is said.
        keys: the key files.
    """

    def __init__(self, *, ledger: LedgerService, keys: KeyStore) -> None:
        self._ledger, self._keys = ledger, keys

    def rotate(self, role: str, log: str, reason: str) -> dict[str, Any]:
        """Replace a key, or prepare its successor for the hospitals to put in force.

        Args:
            role: `events`, in every log; or `log`, in one.
            log: a study, or `consortium`; counts for `log` only.
            reason: planned, lost or stolen.

        Returns:
            Name and public half of the new key, and the logs in which it is in force.

        Raises:
            NotReady: no such role, reason or log.
            Refused: this hub only reads, or its keys are not in force.
        """
        if role not in (EVENTS, LOG) or reason not in REASONS:
            raise NotReady(
                f"{role!r} for the reason {reason!r} is not a key that is replaced here.",
                f"Say {EVENTS} or {LOG}, and one of: {', '.join(REASONS)}.",
            )
        logs = [*self._ledger.studies(), CONSORTIUM] if role == EVENTS else [log]
        for one in logs:
            self._ledger.state_of(one)
            self._ledger.held.check(one)
        made = self._keys.coming_events() if role == EVENTS else self._keys.new_log_key(log)
        if reason == Rotated.PLANNED:
            with self._ledger.writing(*logs) as session:
                for one in logs:
                    self._say(session, one, made)
            self.settle()
        return {
            "name": made.name,
            "vkey": str(made.verifier),
            "reason": reason,
            "logs": logs,
            "in_force": self._in_force(made, logs),
        }

    def settle(self) -> bool:
        """Put a coming key into use that every log has in force by now; whether there was one."""
        coming = self._keys.coming_events() if self._keys.events_are_coming() else None
        if coming is None or not self._in_force(coming, self._ledger.logs()):
            return False
        self._keys.take_over_events()
        return True

    def _say(self, session: Transaction, log: str, made: SigningKey) -> None:
        state = self._ledger.state_in(session, log)
        if state is not None and state.keys.current.get(made.name) != made.verifier:
            body = {"name": made.name, "vkey": str(made.verifier), "reason": str(Rotated.PLANNED)}
            self._ledger.say_in(session, log, KIND, body)

    def _in_force(self, key: SigningKey, logs: list[str]) -> bool:
        held = [self._ledger.state_of(log).keys.current.get(key.name) for log in logs]
        return bool(held) and all(one == key.verifier for one in held)
