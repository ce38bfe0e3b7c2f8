"""Verify a bundle that somebody brings: each step as it ends, the result, what is not proven."""

from __future__ import annotations

from typing import Any

import streamlit as st

from compliance.errors import Refused
from compliance.report.steps.outside import UNPROVABLE
from compliance.report.verify import Report, Step
from dashboard import evidence_words, page, session
from dashboard.uploads import MOST_MIB, verify_upload

COMMAND = "consilium audit verify BUNDLE --policy FILE"


def draw() -> None:
    """Draw the part."""
    st.markdown(
        "The very verifier of the command line runs in this dashboard, step by numbered step. It "
        "believes nothing in the bundle, unpacks nothing to disk, and keeps nothing."
    )
    brought = _form()
    st.markdown(":gray[Without this dashboard, on a machine of your own, with no network:]")
    st.code(COMMAND, language=None)
    if brought is None:
        return
    with st.container():
        _run(*brought)


def _form() -> tuple[bytes, str | None, bytes | None, str | None] | None:
    """Bundle, policy, receipt and charter id; None while nothing is to be verified."""
    with st.form("verify", clear_on_submit=True):
        bundle = st.file_uploader(
            f"Bundle, a .zip of at most {MOST_MIB} MiB", type="zip", max_upload_size=MOST_MIB
        )
        one, two = st.columns(2)
        policy = one.file_uploader("Policy that you hold yourself", max_upload_size=1)
        receipt = two.file_uploader("Receipt of the export, if you have it", max_upload_size=1)
        charter = st.text_input("Charter id that you expect, if you know it")
        if not st.form_submit_button("Verify", icon=":material/verified:", type="primary"):
            return None
    data, rules, paper = (session.taken(one) for one in (bundle, policy, receipt))
    if data is None:
        st.warning("Choose a bundle first.", icon=":material/upload_file:")
        return None
    text = rules.decode(errors="replace") if rules is not None else None
    return data, text, paper, charter.strip() or None


def _run(data: bytes, given: str | None, receipt: bytes | None, charter: str | None) -> None:
    with page.problems():
        own = page.policy()
    source = "given" if given else "own" if own else "none"
    st.subheader("Steps")
    st.markdown(f":gray[{evidence_words.POLICIES[source]}]")
    with st.spinner("Verifying, step by step …", show_time=False):
        try:
            report = verify_upload(
                data, given or own, receipt=receipt, charter_id=charter, tell=_step
            )
        except Refused as error:
            st.error(f"**Not looked at.** {error}", icon=":material/block:")
            return
    _result(report)


def _step(step: Step) -> None:
    """One step; what a bundle says is shown as text and never as markup."""
    glyph, word = evidence_words.RESULTS[step.result]
    with st.container(border=True):
        st.markdown(f"{glyph} **{step.number} {step.subject}** · {word} · :gray[{step.clause}]")
        st.text(step.detail)


def _result(report: Report) -> None:
    show: dict[int, Any] = {0: st.success, 1: st.error, 2: st.warning}
    show[report.exit_code](evidence_words.VERDICTS[report.exit_code], icon=":material/gavel:")
    st.markdown("**No log shows:**")
    st.markdown("\n".join(f"- {line}" for line in UNPROVABLE))
    st.markdown(":gray[The file that you brought is forgotten now.]")
