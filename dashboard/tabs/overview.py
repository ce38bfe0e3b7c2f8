"""Overview: what the study is, who signed, who refused and why, who has not answered."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import streamlit as st

from compliance.records.reasons import Stopped
from dashboard import page, session, starting, style, tables, words
from dashboard.reading import signers
from dashboard.tabs import amending, records, supposing

Plain = dict[str, Any]
SIGNS = {
    "signed": (":material/check_circle:", "green", "signed"),
    "refused": (":material/cancel:", "red", "refused"),
    "waiting": (":material/hourglass_top:", "orange", "no answer"),
    "left": (":material/logout:", "gray", "left"),
    "forged": (":material/dangerous:", "red", "refuted"),
}


def draw(study: Plain, charter: Plain, now: Plain | None) -> None:
    """Draw the tab."""
    body = charter["body"]
    with page.problems():
        verified = _verified(study, charter)
    if now is not None and now["phase"] == "closed":
        _outcome(now, study)
    one, two, three, four = st.columns((2, 2, 3, 2))
    signed = sum(row["signed"] for row in study["sites"])
    one.metric("Hospitals signed", f"{signed} of {len(study['sites'])}", border=True)
    two.metric("Rounds", f"{study['round']} of {study['max_rounds']}", border=True)
    main = tables.main_measure(study)
    three.metric(f"{main}, lowest to highest", tables.spread(study), border=True)
    four.metric("Cosigners needed", f"{body['quorum']['k']} of {len(body['sites'])}", border=True)
    left, right = st.columns((3, 2), gap="large")
    with left:
        _signatures(study, charter, verified)
        _acts(study, charter, verified)
        if now is not None:
            supposing.draw(study, charter)
    with right:
        _terms(charter, body)


def _outcome(now: Plain, study: Plain) -> None:
    colour, sentence = tables.outcome(now, study["sites"])
    show = {"green": st.success, "orange": st.warning, "red": st.error}[colour]
    show(sentence, icon=":material/flag:")


def _verified(study: Plain, charter: Plain) -> Collection[str]:
    """Signatures verified here; after the launch the fold has judged them."""
    if study["state"] == "launched":
        return [row["name"] for row in study["sites"]]
    return signers(charter)


def _signatures(study: Plain, charter: Plain, verified: Collection[str]) -> None:
    st.subheader("Signatures")
    for row in tables.approvals(study, charter, verified):
        icon, colour, word = SIGNS[row["state"]]
        with st.container(border=True):
            left, right = st.columns((1, 3), vertical_alignment="center")
            left.badge(word, icon=icon, color=cast("Any", colour))
            right.markdown(f"**{row['hospital']}**  \n:gray[{row['note']}]")
    if study["state"] in {"proposed", "signed"}:
        st.markdown(
            ":gray[A hospital decides at the hospital: `consilium site show`, then "
            "`consilium site approve` or `refuse`.]"
        )


def _acts(study: Plain, charter: Plain, verified: Collection[str]) -> None:
    who = session.identity()
    if study["state"] in {"proposed", "signed"} and who.has("researcher"):
        ready = study["state"] == "signed" and len(verified) >= study["required"]
        st.subheader("Launch")
        if not ready:
            st.markdown(f":gray[It takes {study['required']} signatures.]")
        page.act(
            "Launch the study", "charter.launch", charter["charter_id"],
            icon=":material/rocket_launch:", primary=True, disabled=not ready,
        )  # fmt: skip
    if study["phase"] in {"ready", "in_round", "stopped"} and who.has("researcher"):
        amending.draw(study, charter)
    if study["phase"] in {"ready", "in_round"} and who.has("researcher", "admin"):
        with st.expander("Stop the study", icon=":material/front_hand:"):
            kinds = words.REASONS[Stopped]
            reason = st.selectbox("Reason", list(kinds), format_func=kinds.__getitem__, index=4)
            st.markdown(":gray[An open round ends. Only all hospitals together can resume.]")
            remark = records.remark("Remark to the stop, sealed")
            page.act("Stop", "study.stop", study["study"], {"reason": reason, "remark": remark})
    if study["state"] == "launched" and who.has("admin"):
        records.ending(study)


def _terms(charter: Plain, body: Plain) -> None:
    st.subheader("The charter")
    if body["summary"]:
        st.markdown(body["summary"])
    recipe, release = body["recipe"], body["release"]
    rows = {
        "Purpose": words.USES.get(body["purpose"]["use"], body["purpose"]["use"]),
        "Recipe": f"{recipe['id']}, version {recipe['version']}",
        "First weights": starting.agreed(body.get("start_model")),
        "Classes": words.listed([label.replace("_", " ") for label in body["task"]["labels"]]),
        "Deadline of a round": f"{body['round_seconds'] // 60} min",
        "Fewest hospitals": str(body["min_sites"]),
        "Fewest cases": str(body["min_examples"]),
        "Smallest count shown": str(body["min_cell"]),
        "Hand-out needs": f"{release['k']} hospitals"
        + (", each may veto" if release["veto"] else ""),
        "Good until": style.moment(body["expires"]),
        "Charter": f"`{style.short(charter['charter_id'])}`",
    }
    st.table(
        {"Term": list(rows), "Agreed": list(rows.values())}, border="horizontal", hide_header=True
    )
