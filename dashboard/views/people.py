"""People: accounts and their roles; administrators add persons here."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard import page, words
from dashboard.hub_client import open_hub

Plain = dict[str, Any]


def render() -> None:
    """Draw the page."""
    page.begin("People", "Accounts of this consortium and what they may do.")
    page.only("admin")
    with open_hub() as hub:
        users = page.ask("users", hub.users)
        sites = page.ask("sites", hub.sites)
    names = {row["name"]: row["title"] for row in sites}
    _add(names)
    _erase([row["name"] for row in users])
    st.table(
        [{"Name": row["name"], "Roles": _roles(row, names), "State": _state(row)} for row in users],
        border="horizontal",
    )


def _add(names: dict[str, str]) -> None:
    with st.expander("Add a person", icon=":material/person_add:"):
        one, two, three = st.columns(3)
        name = one.text_input("Account name", placeholder="celine.martin")
        role = two.selectbox("Role", list(words.ROLES), format_func=words.ROLES.__getitem__)
        site = ""
        if role == "steward":
            site = three.selectbox("Hospital", list(names), format_func=names.__getitem__) or ""
        st.markdown(":gray[A one-time link to choose a password is shown once, after you confirm.]")
        page.act(
            "Add", "user.add", name.strip(), {"role": role, "site": site},
            icon=":material/person_add:", primary=True,
            disabled=not name.strip() or (role == "steward" and not site),
        )  # fmt: skip


def _erase(users: list[str]) -> None:
    with st.expander("Erase a person", icon=":material/person_remove:"):
        name = st.selectbox("Person", users, index=None, placeholder="Choose a person")
        st.markdown(
            ":gray[Name, contact, password and roles go. What the person did stays in the logs, "
            "under an id that leads nowhere.]"
        )
        page.act(
            "Erase", "person.erase", name or "", {},
            icon=":material/person_remove:", disabled=name is None,
        )  # fmt: skip


def _roles(row: Plain, names: dict[str, str]) -> str:
    parts = []
    for grant in row["roles"]:
        role = words.ROLES.get(grant["role"], grant["role"])
        site = grant.get("site")
        parts.append(f"{role} of {names.get(site, site)}" if site else role)
    return ", ".join(parts)


def _state(row: Plain) -> str:
    return "Active" if row.get("enrolled", True) else "Has not chosen a password yet"


if __name__ == "__main__":
    render()
