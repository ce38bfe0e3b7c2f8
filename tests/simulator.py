"""Hub and hospitals in memory, at the level of the fold: append notes, play rounds, cheat.

One act per line. `say` returns the verdict and appends only what was allowed, exactly as a hub and
every witness would; `must` is for the honest part of a story.
"""

from __future__ import annotations

import base64
from typing import Any

from compliance.canonical import sha256_id
from compliance.records.envelope import write_event
from compliance.rules.fold import advance, judge
from compliance.rules.state import StudyState
from compliance.rules.verdict import Allowed, Denied, Verdict
from compliance.signing.keys import SigningKey
from compliance.signing.note import parse, seal
from tests import factories as make

HUB = make.EVENTS


class Federation:
    """One study, its log and its clock; every statement takes a minute.

    Args:
        sites: hospitals of the charter.
        signed: hospitals that sign the charter; all, if not said.
        charter: fields of the charter to replace.
    """

    def __init__(
        self,
        *,
        sites: tuple[str, ...] = make.NAMES[:3],
        signed: tuple[str, ...] | None = None,
        **charter: Any,
    ) -> None:
        self.sites = sites
        self.time = make.BEGINS
        self.entries: list[bytes] = []
        self.keys: dict[str, SigningKey] = {}
        self._nonce = 0
        body = make.charter(sites, **charter)
        names = sites if signed is None else signed
        note = make.entry0(body, *(f"{name}/institution" for name in names), make.RESEARCHER)
        verdict = judge(None, note)
        assert not isinstance(verdict, Denied), verdict
        self.state: StudyState = advance(None, note, 0)
        self.entries.append(note)

    def key(self, name: str) -> SigningKey:
        """The key that this name uses now."""
        return self.keys.setdefault(name, make.key(name))

    def draft(
        self,
        kind: str,
        body: dict[str, Any],
        actor: str,
        *,
        signers: tuple[str, ...] | None = None,
        keys: tuple[SigningKey, ...] | None = None,
        **envelope: Any,
    ) -> bytes:
        """A signed note a minute later; `keys` signs with whatever one likes."""
        self._nonce += 1
        self.time = make.later(self.time, minutes=1)
        fields: dict[str, Any] = {
            "log": self.state.charter_id,
            "nonce": f"{self._nonce:032x}",
            "time": self.time,
        }
        text = write_event(kind, body, actor=actor, **(fields | envelope))
        return seal(text, *(keys or [self.key(name) for name in signers or (actor,)]))

    def push(self, note: bytes, now: str | None = None) -> Verdict:
        """Offer a note; it is appended if every rule allows it."""
        verdict = judge(self.state, note, now=now)
        if not isinstance(verdict, Denied):
            self.state = advance(self.state, note, len(self.entries))
            self.entries.append(note)
        return verdict

    def say(self, kind: str, body: dict[str, Any], actor: str, **how: Any) -> Verdict:
        """Say something; the answer is the verdict."""
        return self.push(self.draft(kind, body, actor, **how))

    def must(self, kind: str, body: dict[str, Any], actor: str, **how: Any) -> None:
        """Say something that is allowed."""
        verdict = self.say(kind, body, actor, **how)
        assert isinstance(verdict, Allowed), verdict

    # --- rounds ---

    def opening(self, **changes: Any) -> dict[str, Any]:
        """What an honest hub would say to open the next round now."""
        body = {
            "round": self.state.rounds_opened + 1,
            "sites": self.state.active_sites(),
            "model_sha256": self.state.model_sha256,
            "bundle_sha256": self.state.charter.bundle_sha256,
            "deadline": make.later(self.time, minutes=50),
            "on_behalf": None,
        }
        return body | changes

    def open(self, **changes: Any) -> Verdict:
        """The hub opens the next round."""
        return self.say("round.opened", self.opening(**changes), HUB)

    def opened(self, **changes: Any) -> Federation:
        """The hub opens the next round, and may."""
        self.must("round.opened", self.opening(**changes), HUB)
        return self

    def training(self, site: str, **changes: Any) -> dict[str, Any]:
        """What an honest hospital would say about its update in the open round."""
        running = self.state.open_round
        number = running.number if running else self.state.rounds_opened
        named = {
            "round": number,
            "base_model_sha256": running.model_sha256 if running else self.state.model_sha256,
            "dataset_version": self.state.dataset_versions.get((site, make.DATASET), make.sha("?")),
            "update_sha256": make.sha(f"update {number} of {site}"),
            "dp": make.cost() if self.state.charter.dp else None,
        }
        return make.update(site, **(named | changes))

    def submit(self, site: str, **changes: Any) -> Verdict:
        """A hospital submits its update."""
        return self.say("update.submitted", self.training(site, **changes), f"{site}/node")

    def submitted(self, *sites: str) -> Federation:
        """These hospitals (all of the round, if none is named) submit their updates."""
        running = self.state.open_round
        for site in sites or tuple(running.sites if running else ()):
            self.must("update.submitted", self.training(site), f"{site}/node")
        return self

    def closing(self, **changes: Any) -> dict[str, Any]:
        """What an honest hub would say to close the open round."""
        running = self.state.open_round
        assert running is not None
        used = {site: sent.update_sha256 for site, sent in running.submitted.items()}
        missing = {site: "no_answer" for site in running.sites if site not in used}
        body = {
            "round": running.number,
            "used": used,
            "weights": shares(list(used)),
            "excluded": {},
            "missing": missing,
            "aggregator": self.state.charter.aggregator.name,
            "model_sha256": make.sha(f"model {running.number}"),
            "bytes": 4000,
        }
        return body | changes

    def close(self, **changes: Any) -> Verdict:
        """The hub closes the open round."""
        return self.say("round.closed", self.closing(**changes), HUB)

    def play_round(self) -> Federation:
        """One honest round of all active hospitals."""
        self.opened().submitted()
        self.must("round.closed", self.closing(), HUB)
        return self

    def approve(self, *sites: str, model: str | None = None) -> Federation:
        """These hospitals approve the release of a model."""
        body = {
            "model_sha256": model or self.state.model_sha256,
            "form": "weights",
            "checks_sha256": make.sha("checks"),
        }
        for site in sites:
            self.must("release.approved", body, f"{site}/institution")
        return self

    def release(self, **changes: Any) -> Verdict:
        """The hub releases the last model."""
        body = {
            "model_sha256": self.state.model_sha256,
            "form": "weights",
            "card_sha256": make.sha("card"),
            "on_behalf": None,
        }
        return self.say("model.released", body | changes, HUB)

    def stop(self, actor: str, reason: str = "safety") -> Federation:
        """Somebody stops the study."""
        self.must("study.stopped", {"reason": reason, "on_behalf": None}, actor)
        return self

    def leave(self, site: str) -> Federation:
        """A hospital leaves."""
        self.must("site.withdrawn", {"reason": "policy"}, f"{site}/node")
        return self

    def shut(self) -> Federation:
        """The hub closes the study."""
        self.must("study.closed", {"reason": "completed", "on_behalf": None}, HUB)
        return self

    def export(self, **changes: Any) -> Verdict:
        """The hub records an export of everything so far."""
        size = len(self.entries)
        body = {
            "size": size,
            "root": base64.b64encode(self.state.root(size)).decode(),
            "manifest_sha256": make.sha("manifest"),
            "purpose": "audit",
            "on_behalf": None,
        }
        return self.say("export.created", body | changes, HUB)

    def text_of(self, index: int) -> bytes:
        """The text of an entry."""
        return parse(self.entries[index]).text

    def text_id(self, index: int) -> str:
        """The hash of an entry's text."""
        return sha256_id(self.text_of(index))


def shares(sites: list[str]) -> dict[str, str]:
    """Equal weights that add up to one exactly."""
    if not sites:
        return {}
    part = 10**9 // len(sites)
    first = 10**9 - part * (len(sites) - 1)
    return {site: _billionths(first if at == 0 else part) for at, site in enumerate(sites)}


def _billionths(number: int) -> str:
    return f"{number // 10**9}.{number % 10**9:09d}"


def refused(verdict: Verdict) -> str:
    """The rule that refused; fails if it was allowed."""
    assert isinstance(verdict, Denied), "it was allowed"
    return verdict.rule
