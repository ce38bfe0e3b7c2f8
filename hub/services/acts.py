"""The acts that a person prepares in the dashboard and confirms on a plain page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compliance.errors import Malformed
from compliance.report.narrative import narrative_of
from hub.services.accounts import AccountService, Person
from hub.services.charters import CharterService
from hub.services.exports import ExportService
from hub.services.intents import Act
from hub.services.keys import KeyStore
from hub.services.ledger import LedgerService
from hub.services.members import MemberService
from hub.services.releases import ReleaseService

Body = dict[str, Any]


def acts(  # noqa: PLR0913 - one table of all acts; each service named
    *,
    charters: CharterService,
    accounts: AccountService,
    members: MemberService,
    ledger: LedgerService,
    exports: ExportService,
    releases: ReleaseService,
    keys: KeyStore,
    home: Path,
) -> dict[str, Act]:
    """Every act by its name."""

    def propose(person: Person, _subject: str, body: Body) -> Body:
        key = keys.researcher(person.number)
        vkey = str(key.verifier)
        text = charters.prepare(_draft(body), vkey)
        return charters.propose(text, key.line(text), person.number, vkey)

    def launch(_person: Person, subject: str, _body: Body) -> Body:
        return charters.launch(subject)

    def stop(_person: Person, subject: str, body: Body) -> Body:
        reason = str(body.get("reason") or "operator")
        receipt = ledger.say(subject, "study.stopped", {"reason": reason, "on_behalf": None})
        return {"index": receipt.index}

    def export(_person: Person, subject: str, body: Body) -> Body:
        purpose = str(body.get("purpose") or "audit")
        made = exports.bundle(subject, home / "exports", purpose=purpose)
        path = Path(made["bundle"])
        return {
            "ticket": exports.ticket(path, path.name),
            "sha512": made["sha512"],
            "index": made["index"],
        }

    def download(_person: Person, subject: str, body: Body) -> Body:
        data, name = exports.model_file(subject, body.get("model"))
        folder = home / "exports"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        return {"ticket": exports.ticket(folder / name, name)}

    def invite(_person: Person, subject: str, body: Body) -> Body:
        code, expires = members.invite(subject, str(body.get("title") or subject))
        return {"code": code, "expires": expires}

    def add_user(person: Person, subject: str, body: Body) -> Body:
        role, site = str(body.get("role") or ""), str(body.get("site") or "")
        code = accounts.add(subject, role, site, by=str(person.number))
        return {"code": code}

    return {
        "charter.propose": Act(
            ("researcher",),
            "Propose the charter “{object}” to the hospitals.",
            ("Each hospital reads the text and signs or refuses it with its own key.",
             "A changed word is a new charter: signatures start again.",
             "Your signature is made with a key that the hub keeps for you (hub-attested)."),
            step_up=True, typed=False, do=propose,
        ),
        "charter.launch": Act(
            ("researcher",),
            "Launch the study of charter {object}.",
            ("The charter with its signatures becomes entry 0 of the study's own log.",
             "The hub opens rounds as the charter says. An entry cannot be taken back."),
            step_up=True, typed=True, do=launch,
        ),
        "study.stop": Act(
            ("researcher", "admin"),
            "Stop study {object}.",
            ("An open round ends. Only all hospitals together can resume.",),
            step_up=False, typed=True, do=stop,
        ),
        "export.create": Act(
            ("auditor", "researcher"),
            "Export the evidence bundle of study {object}.",
            ("The export is itself an entry of the log.",),
            step_up=True, typed=False, do=export,
        ),
        "model.release": Act(
            ("researcher",),
            "Release the model of study {object}.",
            ("Enough hospitals must have agreed with their own keys; the log says who did.",
             "A card with every number goes with it. What was handed out cannot be taken back."),
            step_up=True, typed=True,
            do=lambda _, study, body: releases.release(
                study, body.get("model"), narrative_of(body.get("narrative") or {})
            ),
        ),
        "model.download": Act(
            ("researcher",),
            "Download the released model of study {object}.",
            ("The file holds weights that learned from hospitals; keep to the charter.",),
            step_up=True, typed=False, do=download,
        ),
        "site.invite": Act(
            ("admin",),
            "Invite the hospital {object}.",
            ("The code is shown once and is good for 72 hours.",),
            step_up=True, typed=False, do=invite,
        ),
        "user.add": Act(
            ("admin",),
            "Give {object} an account.",
            ("A one-time link is shown once and is good for 24 hours.",),
            step_up=True, typed=False, do=add_user,
        ),
    }  # fmt: skip


def _draft(body: Body) -> Body:
    draft = body.get("draft")
    if not isinstance(draft, dict):
        raise Malformed("act", "its body holds no draft")
    return draft
