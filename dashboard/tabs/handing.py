"""Handing out: the released model as one file with its papers, and each paper by itself."""

from __future__ import annotations

from typing import Any

import streamlit as st

from compliance.canonical import sha256_id
from compliance.errors import NotReady, Refused
from dashboard import page, session, style
from dashboard.hub_client import open_hub

Plain = dict[str, Any]
READERS = ("researcher", "auditor")
PAPERS: dict[str, str] = {
    "card.json": "Card: every number with its entry of the log",
    "modelcard.md": "Model card, to read",
    "bom.cdx.json": "Bill of materials (CycloneDX ML-BOM)",
    "terms.md": "Terms of use",
}
"""What each paper is, by its name at the hub."""


def acts(study: Plain, model: str, *, newest: bool) -> None:
    """The two ways to the file; each is confirmed with the password and works once."""
    st.markdown(
        "The file holds weights that learned from the hospitals' cases. Keep to the charter; the "
        "download is asked with your password."
    )
    with st.container(horizontal=True):
        page.act(
            "Download the released model", "model.download", study["study"],
            {"model": model}, icon=":material/download:", primary=newest,
        )  # fmt: skip
        page.act(
            "Download model and papers as one zip", "model.download", study["study"],
            {"model": model, "what": "package"}, icon=":material/folder_zip:",
            key="act:model.download.package",
        )  # fmt: skip


def papers(study: Plain, model: str | None) -> None:
    """Each paper of the released model, for researchers and auditors; before that, why not."""
    if model is None or not session.identity().has(*READERS):
        return
    st.markdown("**Papers of the released model**")
    number = study["study"]
    try:
        with open_hub() as hub:
            found = hub.papers(number)
    except (NotReady, Refused) as error:
        st.markdown(f":gray[Not yet: {error}]")
        return
    for row in found:
        data = str(row["text"]).encode()
        one, two = st.columns((3, 2), vertical_alignment="center")
        told = f"{style.size(len(data))} · SHA-256 `{style.short(sha256_id(data), 16)}`"
        one.markdown(f"{PAPERS.get(row['name'], row['name'])}  \n:gray[{told}]")
        two.download_button(
            f"Download {row['name']}", data, row["name"], on_click="ignore",
            icon=":material/description:", key=f"paper {row['name']}",
        )  # fmt: skip
