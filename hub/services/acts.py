"""The acts that a person prepares in the dashboard and confirms on a plain page."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compliance.errors import Malformed
from compliance.report.narrative import narrative_of
from compliance.report.request import Request
from hub.services.accounts import AccountService, Person
from hub.services.charters import CharterService
from hub.services.exports import ExportService
from hub.services.intents import Act
from hub.services.keys import KeyStore
from hub.services.members import MemberService
from hub.services.packages import WEIGHTS, ModelPackage
from hub.services.people import PeopleService
from hub.services.releases import ReleaseService
from hub.services.sealed import SealedService

Body = dict[str, Any]
Deed = Callable[[Person, str, Body], Body]


@dataclass(frozen=True)
class Words:
    """What an act says of itself: see `Act`."""

    roles: tuple[str, ...]
    words: str
    consequences: tuple[str, ...]
    step_up: bool = True
    typed: bool = False


WORDS = {
    "charter.propose": Words(
        ("researcher",),
        "Propose the charter “{object}” to the hospitals.",
        ("Each hospital reads the text and signs or refuses it with its own key.",
         "A changed word is a new charter: signatures start again.",
         "Your signature is made with a key that the hub keeps for you (hub-attested)."),
    ),
    "charter.launch": Words(
        ("researcher",),
        "Launch the study of charter {object}.",
        ("The charter with its signatures becomes entry 0 of the study's own log.",
         "The hub opens rounds as the charter says. An entry cannot be taken back."),
        typed=True,
    ),
    "study.stop": Words(
        ("researcher", "admin"),
        "Stop study {object}.",
        ("An open round ends. Only all hospitals together can resume.",
         "Everybody who reads the log sees the reason. A remark is sealed and can be erased."),
        step_up=False, typed=True,
    ),
    "export.create": Words(
        ("auditor", "researcher"),
        "Export the evidence bundle of study {object}.",
        ("The export is itself an entry of the log.",),
    ),
    "model.release": Words(
        ("researcher",),
        "Release the model of study {object}.",
        ("Enough hospitals must have agreed with their own keys; the log says who did.",
         "A card with every number goes with it. What was handed out cannot be taken back."),
        typed=True,
    ),
    "model.download": Words(
        ("researcher",),
        "Download the released model of study {object}.",
        ("The file holds weights that learned from hospitals; keep to the charter.",),
    ),
    "site.invite": Words(
        ("admin",),
        "Invite the hospital {object}.",
        ("The code is shown once and is good for 72 hours.",),
    ),
    "user.add": Words(
        ("admin",),
        "Give {object} an account.",
        ("A one-time link is shown once and is good for 24 hours.",),
    ),
    "person.erase": Words(
        ("admin",),
        "Erase {object}: name, contact, password and roles.",
        ("There is no way back. Every session of this person ends.",
         "What the person did stays in the logs, under an id that leads nowhere.",
         "A charter of this person that is not launched yet cannot be launched any more.",
         "Copies of bundles that lie at the hub are deleted; those that were handed out stay.",
         "Backups still hold the name until they expire: keep none for more than 35 days."),
        typed=True,
    ),
}  # fmt: skip


def acts(
    *,
    charters: CharterService,
    people: PeopleService,
    accounts: AccountService,
    members: MemberService,
    sealed: SealedService,
    handing_out: HandingOut,
    keys: KeyStore,
) -> dict[str, Act]:
    """Every act by its name."""

    def propose(person: Person, _subject: str, body: Body) -> Body:
        key = keys.researcher(person.number)
        vkey = str(key.verifier)
        text = charters.prepare(_draft(body), vkey, by=person.who)
        return charters.propose(text, key.line(text), person.number, vkey)

    def stop(person: Person, subject: str, body: Body) -> Body:
        said = {"reason": str(body.get("reason") or "operator")}
        receipt, commitment = sealed.remarked(
            subject, "study.stopped", said, body.get("remark"), on_behalf=person.who
        )
        return {"index": receipt.index, "sealed": commitment}

    def invite(_person: Person, subject: str, body: Body) -> Body:
        code, expires = members.invite(subject, str(body.get("title") or subject))
        return {"code": code, "expires": expires}

    def add_user(person: Person, subject: str, body: Body) -> Body:
        role, site = str(body.get("role") or ""), str(body.get("site") or "")
        return {"code": accounts.add(subject, role, site, by=str(person.number))}

    deeds: dict[str, Deed] = {
        "charter.propose": propose,
        "charter.launch": lambda person, subject, _: charters.launch(subject, by=person.who),
        "study.stop": stop,
        "export.create": handing_out.export,
        "model.release": handing_out.release,
        "model.download": handing_out.download,
        "site.invite": invite,
        "user.add": add_user,
        "person.erase": lambda person, name, _: people.forget(name, str(person.number), person.who),
    }
    return {name: Act(**vars(WORDS[name]), do=deed) for name, deed in deeds.items()}


class HandingOut:
    """What leaves the hub as a file, each by a ticket that works once.

    Args:
        exports: bundles, and the tickets of every file.
        releases: which models may be handed out.
        package: a released model's file, alone or with its papers.
        folder: where the files lie until they are fetched.
    """

    def __init__(
        self,
        *,
        exports: ExportService,
        releases: ReleaseService,
        package: ModelPackage,
        folder: Path,
    ) -> None:
        self._exports, self._releases, self._folder = exports, releases, folder
        self._package = package

    def export(self, person: Person, study: str, body: Body) -> Body:
        """Build the bundle of a study."""
        asked = wanted(study, self._folder, body)
        made = self._exports.export(asked, on_behalf=person.who, patient=False)
        path = Path(made["bundle"])
        ticket = self._exports.ticket(path, path.name)
        return {"ticket": ticket, "sha512": made["sha512"], "index": made["index"]}

    def release(self, person: Person, study: str, body: Body) -> Body:
        """Release a model with its card."""
        narrative = narrative_of(body.get("narrative") or {})
        return self._releases.release(study, body.get("model"), narrative, by=person.who)

    def download(self, _person: Person, study: str, body: Body) -> Body:
        """Write the released model's file, or one zip with its papers (`what: package`)."""
        model = self._releases.released(study, body.get("model"))
        data, name = self._package.of(study, model, str(body.get("what") or WEIGHTS))
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / name).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        ticket = self._exports.ticket(self._folder / name, name)
        return {"ticket": ticket, "name": name, "bytes": len(data), "sha256": digest}


def wanted(study: str, folder: Path, body: Body) -> Request:
    """What a person asked of an export.

    Raises:
        Malformed: a field is unknown or has another form; it is named.
    """
    names, profiles = body.get("names", True), body.get("profiles") or []
    strange = sorted(set(body) - {"purpose", "names", "profiles"})
    if strange:
        raise Malformed("act", f"an export has no field {strange[0][:40]}")
    if not isinstance(names, bool):
        raise Malformed("act", "names is yes or no")
    if not isinstance(profiles, list) or not all(isinstance(one, str) for one in profiles):
        raise Malformed("act", "profiles is a list of names")
    purpose = str(body.get("purpose") or "audit")
    return Request(study, folder, purpose=purpose, names=names, profiles=tuple(profiles))


def _draft(body: Body) -> Body:
    draft = body.get("draft")
    if not isinstance(draft, dict):
        raise Malformed("act", "its body holds no draft")
    return draft
