"""Every sentence that a page shows about a study: a closed catalogue, walked by a test.

A site is a *hospital* here and n is *cases*. Nothing is called a success, and nothing secure or
compliant: those are for people to judge. Rule sentences are those of `compliance.rules.words`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from compliance.records import reasons
from compliance.records.measures import CALIBRATION, GAIN, MOVED, POINT, part_of
from compliance.rules.words import SENTENCES

Names = Mapping[str, str]

RULES: Mapping[str, str] = SENTENCES

PHASES: dict[str, str] = {
    "proposed": "Waiting for signatures",
    "signed": "Ready to launch",
    "refused": "Refused",
    "launched": "Launched",
    "ready": "Between rounds",
    "in_round": "In a round",
    "stopped": "Stopped",
    "closed": "Closed",
}

SITE_STATES: dict[str, str] = {
    "up": "connected",
    "silent": "silent",
    "suspended": "suspended",
    "invited": "invited, not joined yet",
    "key_refused": "silent: its key is not the one in force",
    "clock_refused": "silent: its clock is wrong",
    "update_required": "silent: its release is too old or too new",
    "certificate_ended": "connected; a certificate has ended",
    "certificate_soon": "connected; a certificate ends soon",
    "restored": "connected; restored from a backup",
    "update_available": "connected; an update is available",
}

SITE_FIXES: dict[str, str] = {
    "up": "Nothing to do.",
    "silent": "Look at the hospital's computer: is `consilium site serve` running?",
    "suspended": "An administrator shut this hospital out; it can be let in again at the hub.",
    "key_refused": "Ask the hospital: was a key replaced, or is it stolen? Compare fingerprints.",
    "clock_refused": "At the hospital: set the clock by NTP.",
    "update_required": "Install one release at both; see `consilium site doctor` there.",
    "certificate_ended": "At the hospital: renew the file that `consilium site doctor` names.",
    "certificate_soon": "At the hospital: renew the file that `consilium site doctor` names.",
    "restored": "It cosigns when the other hospitals have; see `consilium site restored` there.",
    "update_available": "At the hospital: install the hub's release when it suits.",
    "invited": "At the hospital: `consilium site join CODE`, then `consilium site serve`.",
}

HUB_CERTIFICATE: dict[str, str] = {
    "ends_soon": "The hub's TLS certificate ends on {until}: renew it before, or all are cut off.",
    "ended": "The hub's TLS certificate ended on {until}: hospitals cannot connect. Renew it now.",
    "early": "The hub's TLS certificate does not count yet: look at the hub's clock.",
    "unreadable": "The hub's TLS certificate file cannot be read: look at the hub's folder `tls`.",
}


def site_state(health: dict[str, object]) -> str:
    """What is shown of a hospital: its warning, if somebody should do something, else its state."""
    return str(health.get("warning") or health.get("state") or "silent")


ROLES: dict[str, str] = {
    "researcher": "Researcher",
    "steward": "Data steward",
    "auditor": "Auditor",
    "admin": "Administrator",
}

METRICS: dict[str, str] = {
    "auroc": "AUROC",
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "loss": "Loss",
    "brier": "Brier score",
    "ece": "Calibration error",
    "dice": "Dice",
    "detected": "Patients in whom it was met",
    "left_empty": "Patients without it, left empty",
}


OTHER_MEASURES: dict[str, str] = {
    POINT: "Threshold, frozen",
    CALIBRATION: "Calibration in ten bins",
    MOVED[0]: "Drift of the classes",
    MOVED[1]: "Drift of the brightness",
}
"""Measures with a place of their own on the page, which are no line over the rounds."""

FAMILIES: dict[str, str] = {"sex": "Sex", "age": "Age", "scanner": "Scanner"}
GROUP_WORDS: dict[str, str] = {
    "sex.f": "women",
    "sex.m": "men",
    "age.under-40": "under 40 years",
    "age.40-59": "40 to 59 years",
    "age.60-79": "60 to 79 years",
    "age.80-up": "80 years and more",
    "scanner.canon": "Canon scanner",
    "scanner.fujifilm": "Fujifilm scanner",
    "scanner.ge": "GE scanner",
    "scanner.philips": "Philips scanner",
    "scanner.siemens": "Siemens scanner",
    "scanner.other": "another scanner",
}


def group(family: str, word: str) -> str:
    """A group of patients as people read it."""
    return GROUP_WORDS[f"{family}.{word}"]


def measure(name: str) -> str:
    """A measure as people read it: `Dice`, `Dice, lesion`, `AUROC, women`."""
    if name in OTHER_MEASURES:
        return OTHER_MEASURES[name]
    if name.startswith(GAIN):
        return f"{measure(name.removeprefix(GAIN))}, lead of the common model"
    part = part_of(name)
    if part is not None and part.family in FAMILIES:
        return f"{measure(part.measure)}, {group(part.family, part.word)}"
    kind, _, label = name.partition(".")
    plain = METRICS.get(kind, kind)
    return f"{plain}, {label.replace('_', ' ')}" if label else plain


REASONS: dict[type[StrEnum], dict[str, str]] = {
    reasons.Excluded: {
        "not_finite": "its update held a value that is no number",
        "wrong_shape": "its update had another length than the network",
        "norm_bound": "its update was larger than agreed",
        "outlier": "its update was far from all the others",
        "late": "its update came after the deadline",
        "bad_hash": "its update did not match what the hospital had signed",
        "bad_count": "its number of cases did not match what the hospital had signed",
        "withdrawn": "it had left the study",
    },
    reasons.Missing: {
        "no_answer": "it did not answer",
        "late": "it was late",
        "refused": "its own rules said no",
        "offline": "it was not connected",
        "failed": "its program failed; the story is in its own journal",
        "withdrawn": "it had left the study",
    },
    reasons.Aborted: {
        "too_few": "too few hospitals answered",
        "deadline": "the deadline passed",
        "stopped": "the study was stopped",
        "hub_restart": "the hub was restarted",
        "operator": "the operator ended it",
    },
    reasons.Leaving: {
        "consent": "consent was withdrawn",
        "policy": "the hospital's policy",
        "legal": "a legal reason",
        "technical": "a technical reason",
        "other": "another reason",
    },
    reasons.Reduced: {
        "objection": "somebody objected",
        "erasure": "records were erased",
        "quality": "the quality was not good enough",
    },
    reasons.Stopped: {
        "safety": "safety of patients",
        "privacy": "privacy",
        "integrity": "doubt about the records",
        "legal": "a legal reason",
        "operator": "the operator's decision",
    },
    reasons.Closed: {
        "completed": "all agreed rounds are done",
        "expired": "the charter expired",
        "abandoned": "it was given up",
    },
    reasons.ReleaseRefused: {
        "leak_test": "the leak test was not passed",
        "small_cells": "a count was too small to show",
        "performance": "its performance",
        "legal": "a legal reason",
        "other": "another reason",
    },
    reasons.Recalled: {
        "wrong_result": "a wrong result",
        "data_withdrawn": "data were withdrawn",
        "safety": "safety of patients",
        "superseded": "a better model took its place",
    },
    reasons.Rotated: {
        "planned": "as planned",
        "lost": "the old one was lost",
        "stolen": "the old one was stolen",
        "takeover": "somebody took over",
    },
    reasons.StudyRefused: {
        "purpose": "the purpose",
        "privacy": "privacy",
        "capacity": "no capacity now",
        "legal": "a legal reason",
        "data": "the data do not fit",
        "other": "another reason",
    },
    reasons.Departure: {
        "policy": "policy",
        "security": "security",
        "inactive": "not active any more",
        "own_wish": "its own wish",
    },
    reasons.Retired: {
        "superseded": "a newer one took its place",
        "security": "security",
        "wrong_result": "a wrong result",
    },
}
"""Reasons of records that people see here; `Quarantine` stays at the hospital."""

EVENTS: dict[str, str] = {
    "charter": "The charter begins this log, signed by {signers}.",
    "round.opened": "Round {round} opened; {sites} were asked, until {deadline}.",
    "update.submitted": "{who} sent its update of round {round}, trained on {n} cases.",
    "metric.reported": "{who} measured the model {phase} on its {split} cases{in_round}.",
    "mask.key": "{who} published its key for masks.",
    "round.unmasking": "Round {round} took no more masked updates; in the sum: {alive}.",
    "round.closed": "Round {round} closed with a new model from {used}.{left_out}",
    "round.aborted": "Round {round} ended without a model: {reason}.",
    "charter.amended": "A new version of the charter is in force.",
    "site.joined": "{who} joined the study.",
    "site.withdrawn": "{who} left the study: {reason}.",
    "site.limited": "{who} lowered its own privacy limit for {dataset} to ε {epsilon}.",
    "dataset.reduced": "{who} made its data set {dataset} smaller: {reason}.",
    "dataset.withdrawn": "{who} withdrew its data set {dataset}: {reason}.",
    "study.stopped": "{who} stopped the study: {reason}.",
    "study.resumed": "All active hospitals together resumed the study.",
    "study.closed": "The study was closed: {reason}.",
    "release.approved": "{who} agreed that a model is handed out ({form}).",
    "release.refused": "{who} did not agree that a model is handed out: {reason}.",
    "model.released": "A model was released ({form}).",
    "model.recalled": "A released model was called back: {reason}.",
    "coalition.measured": "{who} measured the coalitions of seed {seed} on {dataset} ({split}).",
    "contribution.measured": "Contributions of rounds {from_round} to {to_round} were measured.",
    "key.rotated": "The key {name} was replaced: {reason}.",
    "decision.denied": "{who} refused: {rule_words}",
    "export.created": "An evidence bundle over {size} entries was exported for {purpose}.",
    "review.noted": "Entries {from} to {to} were reviewed: {result}.",
    "erasure.done": "Something was erased: {what}.",
    "agreement": "The agreement begins this log, signed by {signers}.",
    "agreement.amended": "A new version of the agreement is in force.",
    "member.admitted": "{site} was admitted to the consortium.",
    "member.suspended": "{site} was suspended by the others: {reason}.",
    "member.left": "{site} left the consortium: {reason}.",
    "researcher.admitted": "The researcher {name} was admitted.",
    "researcher.left": "The researcher {name} left.",
    "recipe.registered": "The recipe {recipe}, version {version}, was registered.",
    "recipe.retired": "The recipe {recipe}, version {version}, was retired: {reason}.",
    "offer.made": "{who} made the offer {offer} ({kind}), open until {until}.",
    "offer.withdrawn": "{who} withdrew the offer {offer}.",
    "request.made": "{who} asked for the offer {offer}.",
    "request.answered": "{who} answered the request of entry {request}: {answer}.",
    "study.proposed": "{who} laid a charter before the hospitals.",
    "study.opened": "The study {origin} was listed: hospitals may join it.",
    "dataset.registered": "{who} offered the data set {dataset}.",
    "study.refused": "{who} did not sign the charter: {reason}.",
}

_REASON_OF: dict[str, type[StrEnum]] = {
    "round.aborted": reasons.Aborted,
    "site.withdrawn": reasons.Leaving,
    "dataset.withdrawn": reasons.Leaving,
    "dataset.reduced": reasons.Reduced,
    "study.stopped": reasons.Stopped,
    "study.closed": reasons.Closed,
    "release.refused": reasons.ReleaseRefused,
    "model.recalled": reasons.Recalled,
    "key.rotated": reasons.Rotated,
    "study.refused": reasons.StudyRefused,
    "member.suspended": reasons.Departure,
    "member.left": reasons.Departure,
    "recipe.retired": reasons.Retired,
}

STANDINGS: dict[str, str] = {
    "proven": "Proven here",
    "reported": "Reported by the hub",
    "refuted": "Refuted",
    "unknown": "Cannot tell",
}

STANDING_MEANS: dict[str, str] = {
    "proven": "This dashboard read every entry, repeated every rule, recomputed the root and "
    "checked the cosignatures against the policy that its operator obtained outside the hub.",
    "reported": "Every entry, rule and signature holds, and the cosignatures match the keys named "
    "in the charter or agreement shown by the hub (no policy file: reported).",
    "refuted": "What the hub shows contradicts a signature, a rule or what this dashboard saw "
    "before. Do not act on it; call the auditor.",
    "unknown": "Nothing contradicts itself, but the proof is not complete.",
}

GLYPHS: dict[str, str] = {
    "used": "●",
    "left out": "✕",
    "missing": "○",
    "asked": "…",
    "submitted": "◐",
    "not in round": "·",
}

FIELDS: dict[str, str] = {
    "title": "Title",
    "summary": "Summary",
    "datasets": "Data sets",
    "controller": "Controller",
    "lawful_basis": "Lawful basis",
    "special_category_basis": "Basis for health data",
    "status": "Ethics committee",
    "ref": "(reference)",
    "sha256": "(SHA-256)",
    "expires": "(date)",
    "purposes": "Legal purpose",
    "legal": "Legal block",
    "ethics": "Ethics vote",
    "dua": "Data use agreement",
    "dpia": "Impact assessment",
    "permit": "Data permit",
    "transfers": "Transfer",
    "country": "(country)",
    "mechanism": "(what permits it)",
    "disease": "Disease codes",
    "dac": "Decision of the data access committee",
    "external": "Witness from outside",
    "vkey": "(verifier key)",
    "outputs": "What may be handed out",
    "documents": "Document",
    "metrics": "Measured values",
}
"""Names of a form's fields, for a refusal that names one."""

KEPT: dict[str, str] = {
    "charter.form": "Every field has its form.",
    "charter.keys": "Every hospital's keys are known and each stands once.",
    "charter.terms": "Every number can be agreed.",
    "charter.quorum": "The witnesses and their number fit.",
    "charter.legal": "The legal block is complete.",
    "charter.duo": "The purpose is within the terms of the data.",
    "charter.expired": "The charter has not expired.",
    "legal.expired": "No document has expired.",
}
"""What it means that a rule of a charter has nothing against it."""

USES: dict[str, str] = {
    "GRU": "General research (GRU)",
    "HMB": "Health, medical or biomedical research (HMB)",
    "DS": "Research on one disease (DS)",
    "POA": "Population and ancestry research (POA)",
    "MDS": "Method development (MDS)",
}

PURPOSES: dict[str, str] = {
    "scientific_research": "Scientific research",
    "product_development": "Product development",
    "algorithm_training": "Training of algorithms",
    "public_health": "Public health",
    "education": "Education",
    "quality_improvement": "Quality improvement",
}

BASES: dict[str, str] = {
    "art6_1_a": "Consent (GDPR Art. 6(1)(a))",
    "art6_1_c": "Legal obligation (GDPR Art. 6(1)(c))",
    "art6_1_e": "Public interest (GDPR Art. 6(1)(e))",
    "art6_1_f": "Legitimate interest (GDPR Art. 6(1)(f))",
    "other_law": "Another law",
}

SPECIAL_BASES: dict[str, str] = {
    "art9_2_a": "Explicit consent (GDPR Art. 9(2)(a))",
    "art9_2_g": "Substantial public interest (GDPR Art. 9(2)(g))",
    "art9_2_i": "Public health (GDPR Art. 9(2)(i))",
    "art9_2_j": "Research (GDPR Art. 9(2)(j))",
    "other_law": "Another law",
}

ETHICS: dict[str, str] = {
    "approved": "Approved",
    "waived": "Waived",
    "not_required": "Not required",
}

EXPORTS: dict[str, str] = {
    "audit": "an audit",
    "regulator": "a regulator",
    "ethics": "an ethics committee",
    "partner": "a partner",
    "internal": "internal use",
}

REVIEWS: dict[str, str] = {
    "nothing_found": "nothing found",
    "opened_case": "a case is opened; the records are kept until it is closed",
    "closed_case": "every open case about these entries is closed",
}

RETENTION: dict[str, str] = {
    "kept": "Before that day nobody can destroy them.",
    "held": "A review opened a case: nobody can destroy them until it is closed.",
    "due": "Two administrators may destroy them: one asks, another confirms within 7 days.",
    "prepared": "An administrator asked for their destruction. Another one may confirm.",
}

UNKNOWN_TO_THE_HUB = (
    "Decided by each hospital itself, where only it can look: its own smallest cohort, the privacy "
    "budget it has left, its own policy."
)


def reason(kind: type[StrEnum], word: object) -> str:
    """A reason in words; an unknown one is shown as it stands."""
    return REASONS[kind].get(str(word), str(word).replace("_", " "))


def field(path: str) -> str:
    """A field of a draft as its form calls it: `ethics.ref` is Ethics vote (reference)."""
    known = [FIELDS[part] for part in path.split(".") if part in FIELDS]
    known = known[1:] if len(known) > 1 and path.startswith("legal.") else known
    known = known[-1:] if path.endswith("ethics.status") else known
    return " ".join(known) if known else path.replace("_", " ")


def listed(names: Sequence[str]) -> str:
    """Names as in a sentence: A, B and C."""
    if not names:
        return "nobody"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def hospital(site: str, names: Names) -> str:
    """The title of a hospital; its name where no title is known."""
    return names.get(site) or site


def speaker(actor: str, names: Names) -> str:
    """Who says something: a hospital by its title, the hub, or a researcher."""
    owner, _, role = actor.partition("/")
    if owner in names:
        return hospital(owner, names)
    if role == "events" or role.startswith("study"):
        return "The hub"
    return "The researcher" if role.startswith("r-") else owner


def told(kind: str, actor: str, body: Mapping[str, Any], names: Names) -> str:
    """An entry of a log as a sentence."""
    return filled(EVENTS[kind], kind, actor, body, names)


def filled(sentence: str, kind: str, actor: str, body: Mapping[str, Any], names: Names) -> str:
    """A sentence of a catalogue with the parts of a statement in their places."""
    return sentence.format_map(_Parts(kind, actor, body, names))


class _Parts(dict[str, str]):
    """The parts of a sentence, made of a record's fields when they are asked for."""

    def __init__(self, kind: str, actor: str, body: Mapping[str, Any], names: Names) -> None:
        super().__init__()
        self._kind, self._actor, self._body, self._names = kind, actor, body, names

    def __missing__(self, name: str) -> str:
        special = getattr(self, f"_say_{name}", None)
        if special is not None:
            return str(special())
        return str(self._body.get(name, "—")).replace("_", " ")

    def _say_who(self) -> str:
        return speaker(self._actor, self._names)

    def _say_signers(self) -> str:
        sites = self._body.get("signers", [])
        return listed([hospital(site, self._names) for site in sites])

    def _say_site(self) -> str:
        return hospital(self._body["site"], self._names)

    def _say_sites(self) -> str:
        return listed([hospital(site, self._names) for site in self._body["sites"]])

    def _say_used(self) -> str:
        return listed([hospital(site, self._names) for site in self._body["used"]])

    def _say_alive(self) -> str:
        return listed([hospital(site, self._names) for site in self._body["alive"]])

    def _say_left_out(self) -> str:
        out = [("excluded", reasons.Excluded, "left out"), ("missing", reasons.Missing, "missing")]
        return "".join(
            f" {hospital(site, self._names)} was {word}: {reason(kind, why)}."
            for field, kind, word in out
            for site, why in self._body[field].items()
        )

    def _say_reason(self) -> str:
        if "reason" not in self._body:  # the consortium log lists that a study closed, not why
            return "its own log says why"
        return reason(_REASON_OF[self._kind], self._body["reason"])

    def _say_deadline(self) -> str:
        return f"{str(self._body['deadline'])[11:16]} UTC"

    def _say_in_round(self) -> str:
        number = self._body.get("round")
        return "" if number is None else f" in round {number}"

    def _say_rule_words(self) -> str:
        return SENTENCES.get(str(self._body["rule"]), str(self._body["rule"]))

    def _say_purpose(self) -> str:
        return EXPORTS.get(str(self._body["purpose"]), str(self._body["purpose"]))
