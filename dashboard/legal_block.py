"""The legal block of a draft: answers into the block and back; nothing is filled in by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from dashboard.paths import Plain, codes, day_text, hash_text, inner, paper, put, rows, table

Answers = dict[str, Any]
PERMIT = ("ref", "sha256", "expires")

SITE_FIELDS: dict[str, Any] = {
    "controller": "",
    "lawful_basis": None,
    "special_category_basis": None,
    "ethics.status": None,
    "ethics.ref": "",
    "ethics.sha256": "",
    "ethics.expires": None,
    "dua.ref": "",
    "dua.sha256": "",
    "dua.expires": None,
    "dpia.required": True,
    "dpia.ref": "",
    "dpia.sha256": "",
    "objections_checked": None,
    "us_basis": None,
}
"""Fields of one hospital's row, with what stands there before anybody answers."""

DAYS = ("ethics.expires", "dua.expires", "objections_checked")


def legal_of(answers: Answers, sites: Sequence[str]) -> Plain:
    """The legal block; what was not answered stays empty, and the rules say so."""
    ref, sha256 = (answers.get(f"processing_agreement.{part}") for part in ("ref", "sha256"))
    return {
        "joint_controllers": bool(answers.get("joint_controllers")),
        "processor": answers.get("processor") or None,
        "processing_agreement": paper(ref, sha256),
        "purposes": list(answers.get("purposes") or []),
        "transfers": transfers_of(answers),
        "sites": [_row(answers, site) for site in sites],
    }


def transfers_of(answers: Answers) -> list[Plain]:
    """The countries that data go to, each with what permits it."""
    return [
        {"country": country, "mechanism": answers.get(f"transfer|{country}")}
        for country in codes(str(answers.get("transfer_countries") or "").upper())
    ]


def _row(answers: Answers, site: str) -> Plain:
    row: Plain = {"site": site}

    def said(path: str, default: Any = None) -> Any:
        return answers.get(f"legal|{site}|{path}", default)

    for path, default in SITE_FIELDS.items():
        value = said(path, default)
        put(row, path, day_text(value, said(f"{path}|kept")) if path in DAYS else value)
    for part in ("ethics", "dua", "dpia"):
        row[part]["sha256"] = hash_text(row[part]["sha256"])
    row["dpia"] |= {name: row["dpia"][name] or None for name in ("ref", "sha256")}
    row["permit"] = _permit(said("permit.ref"), said("permit.sha256"), said("permit.expires"))
    if row["permit"] and said("permit.expires|kept"):
        until = day_text(said("permit.expires"), said("permit.expires|kept"))
        row["permit"]["expires"] = until
    return row


def _permit(ref: Any, sha256: Any, expires: Any) -> Plain | None:
    if not (ref or sha256 or expires):
        return None
    return {"ref": ref or "", "sha256": hash_text(sha256), "expires": day_text(expires)}


def answers_of(plain: Plain) -> Answers:
    """The answers that make this draft's legal block."""
    legal = table(plain, "legal")
    answers = {name: legal.get(name) for name in ("joint_controllers", "processor")}
    answers["purposes"] = legal.get("purposes") or []
    given = rows(legal, "transfers")
    answers["transfer_countries"] = ", ".join(str(row.get("country")) for row in given)
    answers |= {f"transfer|{row.get('country')}": row.get("mechanism") for row in given}
    for part in ("ref", "sha256"):
        path = f"processing_agreement.{part}"
        answers[path] = inner(legal, path) or ""
    for row in rows(legal, "sites"):
        for path in (*SITE_FIELDS, *(f"permit.{part}" for part in PERMIT)):
            answers |= _answer(f"legal|{row.get('site')}|{path}", inner(row, path), path)
    return answers


def _answer(name: str, value: Any, path: str) -> Answers:
    if value is None:
        return {}
    if path in DAYS or path == "permit.expires":
        return {name: datetime.fromisoformat(str(value)).date(), f"{name}|kept": str(value)}
    return {name: value}
