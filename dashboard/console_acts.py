"""The console's acts: what each one asks, what follows from it, the deed, and what it gave."""

from __future__ import annotations

from compliance.errors import NotReady
from compliance.records import reasons
from compliance.records.measures import shortened
from dashboard import paper, words
from dashboard.console_papers import (
    Act,
    Given,
    Plain,
    already,
    charter_address,
    digits,
    passphrase,
    typed,
    way_back,
)
from dashboard.console_papers import reasons as chosen
from dashboard.site_client import SiteClient

AGAIN = "again"


# ---------------------------------------------------------------------- sign and refuse


def _look_at_charter(site: SiteClient, given: Given) -> Plain:
    return site.charter(given.get("charter", ""))


def _sign_page(looked: Plain, given: Given, wrong: str) -> str:
    card, back = looked["card"], charter_address(given.get("charter", ""))
    title = f"Sign “{card['title']}”?"
    if card["own_answer"] == "signed":
        return already("This hospital has signed this charter.", back)
    against = [row["sentence"] for row in card["verdicts"] if not row["allowed"]]
    if against:
        words_ = "It cannot be signed here: these rules say no."
        return paper.page(title, paper.complaint(words_), paper.bullets(against), way_back(back))
    leaves = card["leaves"]
    follows = [
        f"From then on a study may train on {_data(card)} until {card['expires'][:10]}.",
        (
            f"What leaves: the change of the model, {words.listed(shortened(leaves['metrics']))}, "
            f"counts not below {leaves['counts_not_below']}, signatures; nothing else."
        ),
        (
            "Your signature stays on record. You can leave the study at any time; what a model has "
            "learned by then stays in it."
        ),
    ]
    return paper.page(
        title,
        paper.complaint(wrong),
        paper.bullets(follows),
        paper.facts([("Charter", digits(card["charter_id"]))]),
        paper.form(
            "/sign",
            "Sign for this hospital",
            typed(card["type_to_confirm"], "charter"),
            *passphrase(looked),
            charter=card["charter_id"],
        ),
        way_back(back),
    )


def _sign(site: SiteClient, given: Given) -> Plain:
    number = given.get("charter", "")
    if site.charter(number)["card"]["own_answer"] == "signed":
        return {AGAIN: True}
    return site.sign(number, typed=given.get("typed", ""), passphrase=given.get("passphrase", ""))


def _signed(told: Plain, given: Given) -> str:
    back = charter_address(given.get("charter", ""))
    if told.get(AGAIN):
        return already("This hospital has signed this charter.", back)
    how = "The hub has it." if told["sent"] else "It is kept here until the hub answers."
    rows = [("Signed as", told["signed"]), ("Charter", digits(told["charter_id"]))]
    return paper.page("Signed", paper.good_news(how), paper.facts(rows), way_back(back, "charter"))


def _refuse_page(looked: Plain, given: Given, wrong: str) -> str:
    card, back = looked["card"], charter_address(given.get("charter", ""))
    if card["own_answer"] == "refused":
        return already("This hospital has refused this charter.", back)
    if card["own_answer"] == "signed":
        words_ = "This hospital has signed this charter: it cannot be refused, but left."
        leave = paper.link(f"/withdraw?study={card['study']}", "Leave the study")
        return paper.page("Signed already", paper.complaint(words_), leave, way_back(back))
    follows = [
        "Nothing is trained here for this study.",
        "The hub and the researcher read the word that you choose, and nothing else.",
    ]
    form = paper.form(
        "/refuse",
        "Refuse for this hospital",
        chosen(reasons.StudyRefused),
        *passphrase(looked),
        charter=card["charter_id"],
    )
    title = f"Refuse “{card['title']}”?"
    return paper.page(title, paper.complaint(wrong), paper.bullets(follows), form, way_back(back))


def _refuse(site: SiteClient, given: Given) -> Plain:
    number = given.get("charter", "")
    if site.charter(number)["card"]["own_answer"] == "refused":
        return {AGAIN: True}
    return site.refuse(
        number, reason=given.get("reason", ""), passphrase=given.get("passphrase", "")
    )


def _refused(told: Plain, given: Given) -> str:
    back = charter_address(given.get("charter", ""))
    if told.get(AGAIN):
        return already("This hospital has refused this charter.", back)
    why = words.reason(reasons.StudyRefused, told["refused"])
    return paper.page(
        "Refused", paper.good_news(f"On record, with the reason: {why}."), way_back(back)
    )


# ---------------------------------------------------------------------- leave a study


def _look_at_study(site: SiteClient, given: Given) -> Plain:
    for row in site.studies():
        if row["study"] == given.get("study", ""):
            return row
    raise NotReady("this hospital has not signed that study.", "There is nothing to leave.")


def _withdraw_page(row: Plain, given: Given, wrong: str) -> str:
    if row["own_answer"] == "withdrawn":
        return already("This hospital has left this study.", "/studies", "studies")
    follows = [
        "At once nothing is trained here any more for this study, whether the hub answers or not.",
        "What was learned so far stays in the models that were made: a model cannot forget.",
        "It is on record. To take part again this hospital would have to sign anew.",
    ]
    form = paper.form(
        "/withdraw",
        "Leave the study now",
        chosen(reasons.Leaving),
        typed(row["type_to_confirm"], "charter"),
        study=row["study"],
    )
    title = f"Leave “{row['title']}”?"
    no_passphrase = paper.said("No passphrase is asked: a brake must not wait.")
    parts = (paper.complaint(wrong), paper.bullets(follows), no_passphrase, form)
    return paper.page(title, *parts, way_back("/studies", "studies"))


def _withdraw(site: SiteClient, given: Given) -> Plain:
    number = given.get("study", "")
    if _look_at_study(site, given)["own_answer"] == "withdrawn":
        return {AGAIN: True}
    return site.withdraw(number, reason=given.get("reason", ""), typed=given.get("typed", ""))


def _withdrawn(told: Plain, _: Given) -> str:
    if told.get(AGAIN):
        return already("This hospital has left this study.", "/studies", "studies")
    record = "It is on record." if told["on_record"] else "The hub is told when it answers."
    news = paper.good_news(f"Nothing is trained here any more for this study. {record}")
    return paper.page("Left the study", news, way_back("/studies", "studies"))


# ---------------------------------------------------------------------- release and object


def _look_at_model(site: SiteClient, given: Given) -> Plain:
    told = site.releases()
    for row in told["rows"]:
        if row["study"] == given.get("study", ""):
            _check_same_model(row, given)
            return {**row, "protected": told["protected"]}
    raise NotReady("this hospital has no say in that study.", "Look at Releases again.")


def _check_same_model(row: Plain, given: Given) -> None:
    if not row["ready"]:
        raise NotReady(row["why"], "Look at Releases again later.")
    if given.get("model", row["model_sha256"]) != row["model_sha256"]:
        raise NotReady("a newer model was made meanwhile.", "Look at Releases again.")


def _release_page(row: Plain, _: Given, wrong: str) -> str:
    if row["own_answer"] == "agreed":
        return already("This hospital has agreed to this model.", "/releases", "releases")
    veto = "One objection stops it." if row["veto"] else "An objection does not stop it."
    follows = [
        (
            f"It may leave the study as {words.listed(row['outputs'])} when {row['needed']} "
            f"hospitals have agreed. {veto}"
        ),
        "What the model tells about single patients was not tested in this release.",
        "What has left cannot be called back.",
    ]
    form = paper.form(
        "/release",
        "Agree for this hospital",
        typed(row["type_to_confirm"], "model"),
        *passphrase(row),
        study=row["study"],
        model=row["model_sha256"],
    )
    title = f"Let the model of “{row['title']}” leave?"
    facts = paper.facts([("Model", digits(row["model_sha256"]))])
    parts = (paper.complaint(wrong), paper.bullets(follows), facts, form)
    return paper.page(title, *parts, way_back("/releases", "releases"))


def _release(site: SiteClient, given: Given) -> Plain:
    if _look_at_model(site, given)["own_answer"] == "agreed":
        return {AGAIN: True, "answer": "agreed"}
    return site.release(
        given.get("study", ""),
        model=given.get("model", ""),
        typed=given.get("typed", ""),
        passphrase=given.get("passphrase", ""),
    )


def _object_page(row: Plain, _: Given, wrong: str) -> str:
    if row["own_answer"] == "objected":
        return already("This hospital has objected to this model.", "/releases", "releases")
    follows = [
        "It takes back an earlier yes of this hospital.",
        "The word that you choose is on record, and nothing else.",
    ]
    if row["released"]:
        follows.append("The model has left already: an objection does not call it back.")
    form = paper.form(
        "/object",
        "Object for this hospital",
        chosen(reasons.ReleaseRefused),
        *passphrase(row),
        study=row["study"],
        model=row["model_sha256"],
    )
    title = f"Object to the model of “{row['title']}”?"
    facts = paper.facts([("Model", digits(row["model_sha256"]))])
    parts = (paper.complaint(wrong), paper.bullets(follows), facts, form)
    return paper.page(title, *parts, way_back("/releases", "releases"))


def _object(site: SiteClient, given: Given) -> Plain:
    if _look_at_model(site, given)["own_answer"] == "objected":
        return {AGAIN: True, "answer": "objected"}
    return site.object_to(
        given.get("study", ""),
        model=given.get("model", ""),
        reason=given.get("reason", ""),
        passphrase=given.get("passphrase", ""),
    )


def _answered(told: Plain, _: Given) -> str:
    agreed = told["answer"] == "agreed"
    said = "agreed to" if agreed else "objected to"
    if told.get(AGAIN):
        return already(f"This hospital has {said} this model.", "/releases", "releases")
    how = "The hub has it." if told["sent"] else "It is kept here until the hub answers."
    rows = [("Signed as", told["signed"]), ("Model", digits(told["model_sha256"]))]
    title = "Agreed" if agreed else "Objected"
    back = way_back("/releases", "releases")
    return paper.page(title, paper.good_news(how), paper.facts(rows), back)


def _data(card: Plain) -> str:
    named = [f"{row['id']} ({row.get('patients', '?')} patients)" for row in card["datasets"]]
    return words.listed(named) if named else "no dataset of this hospital"


ACTS = (
    Act("/sign", _look_at_charter, _sign_page, _sign, _signed),
    Act("/refuse", _look_at_charter, _refuse_page, _refuse, _refused),
    Act("/withdraw", _look_at_study, _withdraw_page, _withdraw, _withdrawn),
    Act("/release", _look_at_model, _release_page, _release, _answered),
    Act("/object", _look_at_model, _object_page, _object, _answered),
)
