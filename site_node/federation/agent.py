"""The agent: mirrors and witnesses every log, sends what waits, tells the hub that it lives.

It dials out and opens no port itself. One tick is one look at everything; a hub that is away stops
nothing here, the next tick tries again.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Event
from typing import Protocol

from compliance.errors import ConsiliumError, NotReady, Unreachable
from compliance.protocol import PROTOCOL
from compliance.records.alarms import MOST, Alarm
from compliance.rules.words import SENTENCES
from site_node.gate.certificates import codes_of
from site_node.gate.mirror import CONSORTIUM
from site_node.gate.witness import ClockBehind
from site_node.store.journal import StoreFailed
from site_node.wiring import Rooms

MISSING = "own.missing"
BETWEEN_EXPIRIES = timedelta(hours=1)
PARTS = ("consilium-federation", "flwr", "torch")


class Supervisor(Protocol):
    """What the agent needs of whoever keeps Flower's SuperNode running."""

    def start(self) -> None:
        """Start the SuperNode."""

    def stop(self) -> None:
        """End it with all its children."""

    @property
    def state(self) -> str:
        """`up`, `connecting`, `refused` or why it is not up."""


class Tended(Protocol):
    """What the agent needs of whoever keeps a helper: the warm worker, the receiver of images."""

    def tend(self, *, needed: bool) -> None:
        """Start it when it is needed, end it when it is not."""

    def stop(self) -> None:
        """End it."""


class Agent:
    """Runs the site until it is told to stop.

    Args:
        rooms: the site's parts.
        supervisor: keeps the SuperNode running.
        say: prints one line for the person who looks on.
        bundle_refused: set by the supervisor when Flower refused a bundle.
        workshop: keeps the warm worker while a study needs it.
        receiver: takes images from the hospital's own PACS, whether the hub is there or not.
        beside: the door of the steward's pages, the log for machines: looked after at each turn.
    """

    def __init__(
        self,
        *,
        rooms: Rooms,
        supervisor: Supervisor,
        say: Callable[[str], None],
        bundle_refused: Event | None = None,
        workshop: Tended | None = None,
        receiver: Tended | None = None,
        beside: Sequence[Tended] = (),
    ) -> None:
        self._workshop, self._receiver, self._beside = workshop, receiver, beside
        self._rooms, self._supervisor, self._say = rooms, supervisor, say
        self._bundle_refused = bundle_refused or Event()
        self._hub_away = False
        self._flower = "up"  # what needs no word
        self._beaten: datetime | None = None
        self._expired: datetime | None = None
        self._last: dict[str, tuple[str, int]] = {}
        self._swallowed: set[str] = set()

    def run(self, stop: Event) -> None:
        """Tick until `stop` is set; the SuperNode ends with it."""
        self._supervisor.start()
        try:
            while not stop.is_set():
                self._tend_intake()
                for one in self._beside:
                    one.tend(needed=True)
                self.tick()
                stop.wait(self._rooms.settings.poll_seconds)
        finally:
            self._supervisor.stop()
            for helper in (self._workshop, self._receiver, *self._beside):
                if helper is not None:
                    helper.stop()

    def _tend_intake(self) -> None:
        """Keep images coming in and the quarantine small, whether the hub is there or not."""
        if self._receiver is not None:
            self._receiver.tend(needed=True)
        now = self._rooms.clock()
        if self._expired is None or now - self._expired >= BETWEEN_EXPIRIES:
            self._expired = now
            self._rooms.reception.expire_quarantine()

    def tick(self) -> None:
        """Look at everything once; never raises for what the hub does or leaves undone."""
        try:
            self._tell_state()
            refused = self._bundle_refused.is_set()  # asked first: the mirror below is then newer
            self._heartbeat()
            self._look(CONSORTIUM)  # who belongs, and which studies there are, comes first
            self._rooms.rotation.settle()
            self._rooms.motions.keep_word()
            if self._rooms.standing() != "waiting":
                self._look_at_studies()
            if refused:
                self._report_bundle()
            if self._workshop is not None:
                self._workshop.tend(needed=self._rooms.may_work())
            self._back()
        except Unreachable as error:
            self._away(error)
        except ConsiliumError as error:
            self._trouble("agent", None, error)

    def _look_at_studies(self) -> None:
        """What only a member may ask and say; a hospital that waits or is silent does neither."""
        self._rooms.registrar.register_new()
        self._rooms.steward.keep_word()
        for told in self._rooms.hub.studies():
            self._look(str(told.get("study") or ""))
        self._rooms.masking.publish_all()
        self._answer_questions()

    def _answer_questions(self) -> None:
        """Say how many, where somebody asks; trouble with a question stops nothing else."""
        try:
            self._rooms.answering.look()
        except Unreachable:
            raise
        except ConsiliumError as error:
            self._trouble("counts", None, error)

    def _tell_state(self) -> None:
        """Say when Flower's node comes up, or what it waits for."""
        state = str(self._supervisor.state)
        if state != self._flower:
            self._flower = state
            self._rooms.journal.write("flower.node", state=state)
            self._say(f"Flower's node: {state}.")

    def _report_bundle(self) -> None:
        self._bundle_refused.clear()
        self._rooms.release.refuse_bundle()
        self._say("A bundle that this hospital does not trust was refused; nothing of it ran.")

    def _look(self, study: str) -> None:
        try:
            step = self._rooms.witness.step(study)
            self._rooms.witness.follow_quorum(study)
        except Unreachable:
            raise
        except ConsiliumError as error:
            if isinstance(error, ClockBehind) or self._rooms.mirror.head(study) is not None:
                self._trouble("mirror", study, error)
            return  # a study that is not launched, a consortium not founded, has no log yet
        if self._last.get(study) != (step.outcome, step.size):
            self._last[study] = (step.outcome, step.size)
            if step.outcome == "alarm":
                self._say(f"ALARM in log {study}: {step.rule}. Run `consilium site doctor`.")
        self._miss(study)

    def _miss(self, study: str) -> None:
        """Say once that the log does not show what the hub took from here more than an hour ago."""
        silent = self._rooms.witness.silent(study, self._rooms.clock())
        if not silent:
            self._swallowed.discard(study)
        elif study not in self._swallowed:
            self._swallowed.add(study)
            self._rooms.journal.write("alarm", study=study, rule=MISSING, finding=", ".join(silent))
            self._say(f"ALARM in log {study}: {MISSING}. {SENTENCES[MISSING]} Call the auditor.")

    def _heartbeat(self) -> None:
        now = self._rooms.clock()
        rhythm = timedelta(seconds=self._rooms.settings.heartbeat_seconds)
        if self._beaten is not None and now - self._beaten < rhythm:
            return
        told = self._rooms.hub.heartbeat(self.states(), versions())
        self._rooms.at_work.carried(told.get("carried"))
        self._beaten = now

    def states(self) -> dict[str, object]:
        """Codes, counts and roots for the hub; no path, no sentence."""
        heads = self._rooms.mirror.all_heads()
        return {
            "supernode": str(self._supervisor.state),
            "alarms": len(self._rooms.mirror.alarms()),
            "alarmed": [alarm.plain() for alarm in self._alarmed()],
            "waiting": self._rooms.statements.waiting(),
            "resting": sum(self._rooms.restored.rests(head.study) for head in heads),
            "logs": {head.study: head.size for head in heads},
            "roots": {head.study: base64.b64encode(head.root).decode() for head in heads},
            "certificates": codes_of(self._rooms.settings, self._rooms.clock()),
            "agreement": self._rooms.agreement_id(),
            "order": hand.plain() if (hand := self._rooms.at_work.look()) else None,
        }

    def _alarmed(self) -> list[Alarm]:
        """The first alarm of each log, then logs that do not show what this hospital said."""
        first: dict[str, Alarm] = {}
        for row in self._rooms.mirror.alarms():
            first.setdefault(row.study, Alarm(log=row.study, rule=row.rule, at=row.at))
        for study in sorted(self._swallowed):
            first.setdefault(study, Alarm(log=study, rule=MISSING, at=None))
        return list(first.values())[:MOST]

    def _away(self, error: Unreachable) -> None:
        if not self._hub_away:
            self._hub_away = True
            self._rooms.journal.write("hub.away", said=str(error))
            self._say(f"{error} Going on; what waits is sent later.")

    def _back(self) -> None:
        if self._hub_away:
            self._hub_away = False
            self._rooms.journal.write("hub.back")
            self._say("The hub answers again.")

    def _trouble(self, what: str, study: str | None, error: ConsiliumError) -> None:
        place = (what + (study or ""), -1)
        if self._last.get(str(error)) != place:
            self._last[str(error)] = place
            with contextlib.suppress(StoreFailed):  # it may be the trouble itself
                self._rooms.journal.write("trouble", study=study, what=what, said=str(error))
            self._say(str(error))


def versions() -> dict[str, str | int]:
    """Versions of what decides whether this site and the hub understand each other."""
    found: dict[str, str | int] = {"protocol": PROTOCOL}
    for part in PARTS:
        try:
            found[part] = version(part)
        except PackageNotFoundError:
            found[part] = "unknown"
    return found


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold the home for one `site serve`; a second one is told so.

    Raises:
        NotReady: another process serves this home.
    """
    folder = home / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "serve.lock").open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotReady(
                f"{home} is served by another process already.",
                "Use that one, or end it before starting this.",
            ) from None
        lock.write(str(os.getpid()))
        lock.flush()
        yield
