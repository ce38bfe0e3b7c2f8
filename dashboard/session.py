"""Who is here: the one place that touches `st.user`, `st.context` and the secrets of the app.

For tests with AppTest: `at.secrets["consilium"]` holds the settings as text (see `handed_over`),
`at.user` the identity, and `session.cookies` may be replaced by a function that returns a mapping,
because AppTest seeds no cookies. Rights are never taken from here: every answer of the hub decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from dashboard.settings import Settings

SECRET = "consilium"  # noqa: S105 - name of a section, not a secret
HEADERS = {
    "X-Consilium-User": "user",
    "X-Consilium-Roles": "roles",
    "X-Consilium-Site": "site",
}


@dataclass(frozen=True)
class Identity:
    """Who the gate let in, for greeting and for the choice of pages; not a right.

    Args:
        name: account name, empty when nobody is known.
        roles: role names.
        site: the hospital of a steward.
    """

    name: str
    roles: tuple[str, ...]
    site: str | None

    def has(self, *roles: str) -> bool:
        """Whether one of these roles was granted at sign-in."""
        return any(role in self.roles for role in roles)


def identity() -> Identity:
    """The person of this browser session, as the gate told it when the page connected."""
    told: Mapping[str, Any] = st.user
    words = {key: unquote(str(told.get(key) or "")) for key in HEADERS.values()}
    roles = tuple(role for role in words["roles"].split(",") if role)
    return Identity(words["user"], roles, words["site"] or None)


def token() -> str | None:
    """The session token of this browser, for the hub and nobody else; never shown, never stored."""
    return cookies().get(settings().cookie)


def cookies() -> Mapping[str, str]:
    """The cookies that came with this page's connection."""
    found: Mapping[str, str] = st.context.cookies
    return found


def taken(upload: UploadedFile | None) -> bytes | None:
    """The bytes of an uploaded file, which the server forgets now and not when the tab is closed.

    Streamlit keeps an upload in memory as long as its session lives, and has no public way to let
    go of it; a test watches this one.
    """
    if upload is None:
        return None
    data, run = upload.getvalue(), get_script_run_ctx()
    store = run.uploaded_file_mgr if run is not None else None
    if run is not None and isinstance(store, MemoryUploadedFileManager):
        store.remove_file(run.session_id, upload.file_id)
    return data


def settings() -> Settings:
    """The settings with which this dashboard was started."""
    return Settings(**{key: value for key, value in st.secrets[SECRET].items() if value})


def handed_over(given: Settings) -> dict[str, Any]:
    """The settings in the form in which `serve` hands them to the pages."""
    plain = given.model_dump(mode="json")
    return {SECRET: {key: "" if value is None else value for key, value in plain.items()}}
