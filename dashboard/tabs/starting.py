"""The question with which weights a study begins."""

from __future__ import annotations

from typing import Any

import streamlit as st

from compliance.canonical import sha256_id
from dashboard import page, starting, style
from dashboard.asking import Asking
from dashboard.hub_client import open_hub
from dashboard.uploads import MOST_MIB

HELP = (
    "safetensors with the names of the recipe's network, or its bare float32 values. Larger files: "
    "`consilium study propose CHARTER --start FILE`."
)


def draw(asking: Asking, studies: list[dict[str, Any]]) -> None:
    """Ask; a file goes to the hub at once, which checks it beside the other rules.

    Args:
        asking: the form.
        studies: as the hub lists them.
    """
    source = asking.choice("start", "First weights", starting.CHOICES, starting.DRAWN)
    if source == starting.FILE:
        _file(asking)
    if source == starting.RELEASED:
        released = {
            row["study"]: f"{row['title']} ({row['study'][:8]})"
            for row in studies
            if row.get("released")
        }
        if not released:
            st.markdown(":gray[No study of this consortium has released a model yet.]")
            return
        asking.choice("start_study", "Released by the study", released, None)
        st.markdown(":gray[Its hospitals agreed to hand it out; what they agreed on still holds.]")


def _file(asking: Asking) -> None:
    given = st.file_uploader(
        f"Start model, at most {MOST_MIB} MiB", type=["safetensors", "f32"], help=HELP,
        key="start model", max_upload_size=MOST_MIB,
    )  # fmt: skip
    known = asking.answers.get("start_file")
    if given is not None:
        data = given.getvalue()
        if sha256_id(data) != known:
            with page.problems(), open_hub() as hub:
                known = asking.answers["start_file"] = hub.hand_in_start(data)
    if known:
        st.markdown(f":gray[At the hub: `{style.short(known)}`.]")
