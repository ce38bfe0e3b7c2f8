"""Studies that this hospital signed: where they are, what left for them, and the way out."""

from __future__ import annotations

from typing import Any

import streamlit as st

from compliance.records.reasons import Excluded
from dashboard import console_words, style, words
from dashboard.console import shared
from dashboard.console_tables import left_table, plain, weight

Plain = dict[str, Any]


def render() -> None:
    """Draw the page."""
    shared.begin("Studies", "What this hospital signed, by its own copy of the logs.")
    rows = shared.ask(lambda site: site.studies(), "Reading our copies of the logs …")
    if not rows:
        shared.empty("This hospital has signed no study.", "Charters that wait are in the inbox.")
    for row in rows:
        _study(row)


def _study(row: Plain) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(plain(row["title"]), anchor=False)
            shared.answer(row["own_answer"])
        for alarm in row["alarms"]:
            st.error(
                f"**This log is not believed any more.** {plain(alarm)} Keep this machine as it "
                "is, and call the auditor.",
                icon=":material/dangerous:",
            )
        if row["rest"] is not None:
            st.warning(plain(resting(row["rest"])), icon=":material/bedtime:")
        st.markdown(_where(row))
        st.markdown(f":gray[{_since(row)}]")
        _left(row)
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.page_link(
                "charter.py", label=f"Charter of {plain(row['title'])}",
                icon=":material/description:", query_params={"id": row["charter_id"]},
            )  # fmt: skip
            if row["own_answer"] == "signed":
                shared.act(
                    "Leave this study", "/withdraw", icon=":material/logout:", study=row["study"]
                )


def _where(row: Plain) -> str:
    phase = console_words.phase(row["phase"])
    if row["open_round"] is not None:
        phase = f"Round {row['open_round']} is running{_done(row['order'])}"
    done = f"{row['rounds']} of at most {row['max_rounds']} rounds are closed"
    noise = "Noise is added" if row["noise"] else "No privacy budget is spent: no noise is added"
    return f"{phase} · {done} · {noise}"


def _done(order: Plain | None) -> str:
    """How far the order in hand is."""
    if order is None:
        return ""
    way = [f"{weight(order[key])} {key}" for key in ("down", "up") if order.get(key)]
    way.append(f"{float(order['share']):.0%} of the training")
    return f" ({', '.join(way)})"


def resting(rest: Plain) -> str:
    """Why the hub does not ask this hospital for a while."""
    why = words.listed(sorted({words.reason(Excluded, one) for one in rest["reasons"]}))
    return (
        f"This hospital rests until round {rest['until']} is over. Its last updates did not "
        f"count: {why}. Run `consilium site doctor`."
    )


def _since(row: Plain) -> str:
    word = console_words.answer(row["own_answer"])[0]
    record = "the hub has it" if row["on_record"] else "kept here until the hub answers"
    return plain(f"{word} on {style.moment(row['at'])}; {record}")


def _left(row: Plain) -> None:
    if not row["left"]:
        st.markdown("Nothing has left this hospital for this study.")
        return
    total = sum(part["bytes"] for part in row["left"])
    with st.expander(f"What left for this study: {weight(total)}"):
        shared.table(left_table(row["left"]), "What left for this study, by kind")


if __name__ == "__main__":
    render()
