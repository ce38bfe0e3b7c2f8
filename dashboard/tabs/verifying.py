"""Verify a bundle that somebody brings: each step as it ends, the result, what is not proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from compliance.errors import Refused
from compliance.report.steps.outside import UNPROVABLE
from compliance.report.verify import Report, Step
from dashboard import evidence_words, page, session
from dashboard.uploads import MOST_MIB, own_policy, verify_upload

COMMAND = "consilium audit verify BUNDLE --policy FILE"


@dataclass(frozen=True)
class Brought:
    """What somebody brings along: a bundle, and what it is held against."""

    bundle: bytes
    policy: str | None
    consortium_policy: str | None
    receipt: bytes | None
    charter_id: str | None


def draw() -> None:
    """Draw the part."""
    st.markdown(
        "The very verifier of the command line runs in this dashboard, step by numbered step. It "
        "believes nothing in the bundle, unpacks nothing to disk, and keeps nothing."
    )
    brought = _form()
    st.markdown(":gray[Without this dashboard, on a machine of your own, with no network:]")
    st.code(COMMAND, language=None)
    if brought is not None:
        _run(brought)


def _form() -> Brought | None:
    """What is brought; None while nothing is to be verified."""
    with st.form("verify", clear_on_submit=True):
        bundle = st.file_uploader(
            f"Bundle, a .zip of at most {MOST_MIB} MiB", type="zip", max_upload_size=MOST_MIB
        )
        one, two, three = st.columns(3)
        policy = one.file_uploader("Policy that you hold yourself", max_upload_size=1)
        agreed = two.file_uploader("Policy of the consortium's log", max_upload_size=1)
        receipt = three.file_uploader("Receipt of the export", max_upload_size=1)
        charter = st.text_input("Charter id that you expect, if you know it")
        if not st.form_submit_button("Verify", icon=":material/verified:", type="primary"):
            return None
    data, *others = (session.taken(one) for one in (bundle, policy, agreed, receipt))
    if data is None:
        st.warning("Choose a bundle first.", icon=":material/upload_file:")
        return None
    texts = [paper.decode(errors="replace") if paper else None for paper in others[:2]]
    return Brought(data, texts[0], texts[1], others[2], charter.strip() or None)


def _run(brought: Brought) -> None:
    with page.problems():
        own = own_policy(brought.bundle, page.policies())
    source = "given" if brought.policy else "own" if own else "none"
    st.subheader("Steps")
    st.markdown(f":gray[{evidence_words.POLICIES[source]}]")
    with st.spinner("Verifying, step by step …", show_time=False):
        try:
            report = verify_upload(
                brought.bundle, brought.policy or own, tell=_step, receipt=brought.receipt,
                consortium_policy=brought.consortium_policy, charter_id=brought.charter_id,
            )  # fmt: skip
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
