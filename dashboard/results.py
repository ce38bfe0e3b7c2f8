"""The confirm page, and what a confirmed act gave: codes and links are shown this once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from dashboard import paper, style

Result = dict[str, Any]
ONCE = "It is shown only here; copy it before you leave this page."


def confirm_form(intent: dict[str, Any], title: str, back: str, wrong: str) -> str:
    """The page on which a person says yes: the act in words, what follows, what is asked."""
    subject = str(intent["object"])
    words = str(intent["words"]).replace(subject, f"“{title}”") if title else str(intent["words"])
    rows = [("Id", subject.removeprefix("sha256:")[:16])] if title else []
    rows.append(
        ("Fingerprint of this act", str(intent["object_hash"]).removeprefix("sha256:")[:16])
    )
    top = (paper.complaint(wrong), paper.bullets(intent["consequences"]), paper.facts(rows))
    hidden = {"intent": str(intent["id"]), "back": back}
    words = words.removesuffix(".")
    if intent["done"]:
        again = paper.form("/confirm", "Show the result", **hidden)
        return paper.page(words, *top, paper.good_news("This was done already."), again)
    parts = []
    if intent["typed"]:
        hint = f"type {intent['typed']}"
        parts.append(paper.field("typed", "This cannot be undone", hint=hint, autocomplete="off"))
    if intent["needs_step_up"]:
        own = {"kind": "password", "autocomplete": "current-password"}
        parts.append(paper.field("password", "Your password", hint="once more", **own))
    form = paper.form("/confirm", "Confirm", *parts, **hidden)
    return paper.page(words, *top, form, paper.link(back, "Cancel; nothing is done"))


def result_page(intent: dict[str, Any], done: dict[str, Any], back: str, origin: str) -> str:
    """The page after the yes; the same however often it is asked for."""
    if done.get("running"):
        again = paper.form("/confirm", "Look again", intent=str(intent["id"]), back=back)
        return paper.page("Being done", paper.said("It is still being done; look again."), again)
    parts = result_parts(str(intent["action"]), str(intent["object"]), done["result"], origin)
    return paper.page("Done", *parts, paper.link(back, "Back to where you were"))


def result_parts(action: str, subject: str, result: Result, origin: str) -> list[str]:
    """The parts of the result page of an act.

    Args:
        action: name of the act at the hub.
        subject: what it was about.
        result: what the hub answered.
        origin: address of this dashboard, for one-time links.
    """
    tell = TOLD.get(action, _plain)
    return tell(subject, result, origin)


def page_of(action: str, subject: str) -> str:
    """The page from which an act comes, for the browsers that do not say so."""
    if action in FROM_A_STUDY:
        return f"/study?id={quote(subject)}"
    return PAGES.get(action, "/")


def _proposed(_: str, result: Result, __: str) -> list[str]:
    rows = [("Study", str(result["study"])), ("Charter", _short(str(result["charter_id"])))]
    words = "The charter was proposed. Each hospital now reads and signs or refuses it."
    there = f"/study?id={quote(str(result['study']))}"
    return [paper.good_news(words), paper.facts(rows), paper.link(there, "Open the study")]


def _launched(_: str, result: Result, __: str) -> list[str]:
    words = "The study is launched: the charter is entry 0 of its log, and rounds begin."
    there = f"/study?id={quote(str(result['study']))}&tab=live"
    rows = [("Log", str(result["log"]))]
    return [paper.good_news(words), paper.facts(rows), paper.link(there, "Follow it live")]


def _amended(_: str, result: Result, __: str) -> list[str]:
    waits = ", ".join(result["wanting"]) or "nobody"
    words = "The changed charter waits for the hospitals. Each reads the difference and signs."
    rows = [("Text", _short(str(result["id"]))), ("Could still sign", waits)]
    there = paper.link("/consortium", "See what waits")
    return [paper.good_news(words), paper.facts(rows), there]


def _stopped(_: str, result: Result, __: str) -> list[str]:
    return [paper.good_news("The study is stopped."), _entry(result), _remark(result)]


def _exported(_: str, result: Result, __: str) -> list[str]:
    rows = [("SHA-512 of the file", str(result["sha512"]))]
    words = "The bundle was built and verified, and the export is on record."
    return [paper.good_news(words), _entry(result), paper.facts(rows), *_ticket(result)]


def _released(_: str, result: Result, __: str) -> list[str]:
    rows = [
        ("Model", _short(str(result["model_sha256"]))),
        ("Agreed", ", ".join(result["agreed"])),
        ("Card", _short(str(result["card_sha256"]))),
    ]
    words = "The model is released: it can be downloaded, and its card stands in the log."
    return [paper.good_news(words), _entry(result), paper.facts(rows)]


def _downloaded(_: str, result: Result, __: str) -> list[str]:
    rows = [("File", str(result["name"])), ("Size", style.size(int(result["bytes"])))]
    rows.append(("SHA-256 of the file", str(result["sha256"])))
    return [paper.good_news("The file is ready."), paper.facts(rows), *_ticket(result)]


def _asked_how_many(subject: str, result: Result, _: str) -> list[str]:
    words = "Every hospital is asked. Answers come as each hospital next looks at the hub."
    there = f"/counts?id={quote(str(result['question']))}"
    facts = paper.facts([("Asked", subject)])
    return [paper.good_news(words), facts, paper.link(there, "See the answers")]


def _reviewed(_: str, result: Result, __: str) -> list[str]:
    return [paper.good_news("Your review is on record."), _entry(result), _remark(result)]


def _asked(_: str, result: Result, __: str) -> list[str]:
    words = "You asked for the destruction. Another administrator confirms it within 7 days."
    return [paper.good_news(words), paper.facts([("Asked for at", str(result["prepared_at"]))])]


def _destroyed(_: str, result: Result, __: str) -> list[str]:
    names = ("study", "charter_id", "size", "root", "destroyed_at")
    rows = [(name.replace("_", " "), str(result[name])) for name in names]
    words = "All records of this study are destroyed at this hub. This is what stays:"
    return [paper.good_news(words), paper.facts(rows)]


def _invited(subject: str, result: Result, _: str) -> list[str]:
    rows = [("Invitation code", str(result["code"])), ("Good until", str(result["expires"]))]
    words = f"{subject} is invited. The hospital runs: consilium site join CODE"
    return [paper.good_news(words), paper.facts(rows), paper.said(ONCE)]


def _added(subject: str, result: Result, origin: str) -> list[str]:
    rows = [("One-time link, 24 hours", f"{origin}/enrol?code={quote(str(result['code']))}")]
    return [paper.good_news(f"{subject} has an account."), paper.facts(rows), paper.said(ONCE)]


def _plain(_: str, result: Result, __: str) -> list[str]:
    rows = [(name.replace("_", " "), str(value)) for name, value in sorted(result.items())]
    return [paper.good_news("Done."), paper.facts(rows)]


def _erased(subject: str, result: Result, _: str) -> list[str]:
    words = f"{subject} is erased; what this person did stays, under an id that leads nowhere."
    return [paper.good_news(words), *([_entry(result)] if result["index"] is not None else [])]


def _entry(result: Result) -> str:
    return paper.facts([("Entry of the log", str(result["index"]))])


def _remark(result: Result) -> str:
    told = result.get("sealed")
    return paper.facts([("Sealed remark", _short(str(told)))] if told else [])


def _ticket(result: Result) -> list[str]:
    there = f"/ticket/{quote(str(result['ticket']))}"
    hint = "The link works once, within a minute."
    return [paper.link(there, "Download the file", button=True), paper.said(hint)]


def _short(name: str) -> str:
    return name.removeprefix("sha256:")[:16]


TOLD: dict[str, Callable[[str, Result, str], list[str]]] = {
    "charter.propose": _proposed,
    "charter.launch": _launched,
    "charter.amend": _amended,
    "study.stop": _stopped,
    "export.create": _exported,
    "model.release": _released,
    "model.download": _downloaded,
    "review.note": _reviewed,
    "counts.ask": _asked_how_many,
    "study.destroy.prepare": _asked,
    "study.destroy": _destroyed,
    "site.invite": _invited,
    "user.add": _added,
    "person.erase": _erased,
}

FROM_A_STUDY = ("charter.amend", "study.stop", "export.create", "model.release",
                "model.download", "review.note", "study.destroy.prepare")  # fmt: skip

PAGES = {
    "study.destroy": "/studies",
    "charter.propose": "/studies",
    "charter.launch": "/studies",
    "counts.ask": "/counts",
    "site.invite": "/sites",
    "user.add": "/admin",
    "person.erase": "/admin",
}
