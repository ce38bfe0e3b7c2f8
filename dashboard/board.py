"""The consortium as rows for people, from the state that was folded here; pure.

What the hub tells about the same things is only compared with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compliance.records.reasons import Rotated
from compliance.rules.consortium.state import ConsortiumState, Recipe, Registered
from compliance.rules.differences import differences
from compliance.signing.note import parse
from dashboard import style, words, words_consortium
from dashboard.paths import rows
from dashboard.reading import kind_of

Plain = dict[str, Any]
UNSAID = "ZZ"
"""What stands in the log for a hospital that did not tell its country (ISO 3166-1)."""
ROLES = ("institution", "node", "witness")
LOG = "consortium"
LONG = 16
"""Characters of a hash where people compare it."""


class Places:
    """Where something stands in the log: its entry and time, as people read it.

    Args:
        entries: the log as it was checked.
    """

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.read = [kind_of(note, LOG) for note in entries]
        self._signers = [[line.name for line in parse(note).lines] for note in entries]

    def at(self, index: int) -> str:
        """Entry and time."""
        return f"entry {index} · {style.moment(self.read[index][2])}"

    def of_kind(self, kind: str) -> list[tuple[int, Plain]]:
        """Every entry of a kind: index and fields."""
        return [(index, row[3]) for index, row in enumerate(self.read) if row[0] == kind]

    def signers(self, index: int, names: words.Names) -> str:
        """Who signed an entry, in words."""
        said = dict.fromkeys(words.speaker(name, names) for name in self._signers[index])
        return words.listed(list(said))


def members(state: ConsortiumState, places: Places, names: words.Names) -> list[Plain]:
    """Every hospital that is or was a member."""
    return [
        {
            "Hospital": words.hospital(site, names),
            "Name in keys": site,
            "Country": row.country if row.country != UNSAID else "not told",
            "Stands": standing(str(row.standing)),
            "Since": places.at(row.since),
        }
        for site, row in sorted(state.members.items())
    ]


def standing(state: str) -> str:
    """Where a hospital stands: glyph and words."""
    glyph = {"active": "●", "suspended": "✕", "left": "○"}.get(state, "…")
    return f"{glyph} {words_consortium.STANDINGS.get(state, state)}"


def researchers(state: ConsortiumState, places: Places) -> list[Plain]:
    """Every researcher's key by its name; who the person is stands in no log."""
    return [
        {
            "Key": name,
            "Since": places.at(row.since),
            "Until": places.at(row.left) if row.left is not None else style.MINUS,
        }
        for name, row in sorted(state.researchers.items())
    ]


def keys(state: ConsortiumState, places: Places, names: words.Names) -> list[Plain]:
    """Every key in force, whose it is, and since which entry."""
    found = []
    for name, key in sorted(state.keys.current.items()):
        holder, held = state.keys.holders[name], state.keys.history[name]
        found.append(
            {
                "Of": words.hospital(holder.site, names) if holder.site else name,
                "For": words_consortium.HOLDERS[holder.role],
                "Key id": key.key_id.hex(),
                "In force since": places.at(held[-1][0]),
                "Earlier keys": str(len(held) - 1),
            }
        )
    return found


def rotations(places: Places, names: words.Names) -> list[Plain]:
    """Every replacement of a key: when, which, why, and who signed that."""
    return [
        {
            "Place": places.at(index),
            "Key": body["name"],
            "Why": words.reason(Rotated, body["reason"]),
            "Signed by": places.signers(index, names),
        }
        for index, body in places.of_kind("key.rotated")
    ]


def recipes(state: ConsortiumState, places: Places) -> list[Plain]:
    """Every version of a recipe."""
    return [
        {
            "Recipe": f"{name} {version}",
            "Task": row.task.replace("-", " "),
            "Hash": style.short(row.sha256),
            "Bundle": style.short(row.bundle_sha256),
            "Registered": places.at(row.index),
            "State": "in use" if row.retired is None else f"retired, {places.at(row.retired)}",
        }
        for (name, version), row in sorted(state.recipes.items())
    ]


def bundles(state: ConsortiumState, places: Places) -> list[Plain]:
    """Every Flower bundle that was released, by the recipes registered under it."""
    found: dict[str, list[Recipe]] = {}
    for row in sorted(state.recipes.values(), key=lambda row: row.index):
        found.setdefault(row.bundle_sha256, []).append(row)
    return [
        {
            "Bundle": f"{style.short(bundle, LONG)}…",
            "First named": places.at(named[0].index),
            "Recipes": str(len(named)),
        }
        for bundle, named in found.items()
    ]


def datasets(state: ConsortiumState, places: Places, names: words.Names) -> list[Plain]:
    """Every version of a data set, in buckets."""
    return [
        _dataset(site, dataset, version, row, places, names)
        for (site, dataset), versions in sorted(state.datasets.items())
        for version, row in versions.items()
    ]


def _dataset(
    site: str, dataset: str, version: str, row: Registered, places: Places, names: words.Names
) -> Plain:
    return {
        "Hospital": words.hospital(site, names),
        "Data set": dataset,
        "Version": style.short(version),
        "What": ", ".join([*row.body.modality, *row.body.body_part]),
        "Cases": row.body.examples,
        "Terms": ", ".join(row.body.duo),
        "Registered": places.at(row.index),
        "State": "withdrawn" if row.withdrawn else "registered",
    }


def offers(state: ConsortiumState, places: Places, names: words.Names) -> list[Plain]:
    """Every offer with what was asked and answered."""
    found = []
    for name, row in sorted(state.offers.items()):
        asked = [told for told in state.requests.values() if told.body.offer == name]
        answers = [words_consortium.ANSWERS.get(told.answer or "", "open") for told in asked]
        end = "withdrawn" if row.withdrawn is not None else f"until {row.body.until[:10]}"
        found.append(
            {
                "Offer": name,
                "Kind": words_consortium.OFFERS[row.body.kind],
                "By": words.hospital(row.maker, names) if row.maker else "The hub",
                "State": end,
                "Requests": ", ".join(answers) or "none",
                "Made": places.at(row.index),
            }
        )
    return found


def exports(state: ConsortiumState, places: Places, names: words.Names) -> list[Plain]:
    """Every export of this log that is on record; those of a study stand in its own log."""
    return [
        {
            "Place": places.at(row.index),
            "Entries": str(row.body.size),
            "For": words.EXPORTS[str(row.body.purpose)],
            "By": words.speaker(row.actor, names),
        }
        for row in state.exports
    ]


def studies(
    state: ConsortiumState, places: Places, names: words.Names, titles: Mapping[str, str]
) -> list[Plain]:
    """Every study that was proposed, refused or listed, newest first; titles are the hub's."""
    charters = dict.fromkeys([*state.proposed, *state.studies, *state.refused])
    return [_study(charter, state, places, names, titles) for charter in reversed(charters)]


def _study(
    charter: str,
    state: ConsortiumState,
    places: Places,
    names: words.Names,
    titles: Mapping[str, str],
) -> Plain:
    proposed, listed = state.proposed.get(charter), state.studies.get(charter)
    end = listed.closed if listed else None
    refused = [
        f"{words.hospital(site, names)}: {words.reason(type(why), why)}"
        for site, why in sorted(state.refused.get(charter, {}).items())
    ]
    return {
        "Study": titles.get(charter, style.MINUS),
        "Charter": style.short(charter),
        "Proposed": places.at(proposed.index) if proposed else style.MINUS,
        "Listed": places.at(listed.index) if listed else "not listed: no hospital trains it",
        "Closed": places.at(end) if end is not None else style.MINUS,
        "Refused by": "; ".join(refused) or style.MINUS,
    }


# ---------------------------------------------------------------------- what the hub tells of it

MEMBER = ("standing", "country", "since", "keys")
RECIPE = ("sha256", "bundle_sha256", "index", "retired")
STUDY = ("origin", "entry0", "index", "closed")
LONGEST = 60


def contradictions(state: ConsortiumState, told: Plain) -> list[str]:
    """Every place where the hub tells something else than the folded state, as sentences.

    Args:
        state: folded here, as long as the log that the hub tells of.
        told: the hub's answer.
    """
    return [
        f"`{place}`: the log says {_short(own)}, the hub says {_short(said)}."
        for place, own, said in differences(_own(state), _said(told))
    ]


def _own(state: ConsortiumState) -> Plain:
    current = state.keys.current
    return {
        "agreement_id": state.agreement_id,
        "version_id": state.version_id,
        "agreement": state.agreement.plain(),
        "members": {
            site: {
                "standing": str(row.standing),
                "country": row.country,
                "since": row.since,
                "keys": {role: str(current[f"{site}/{role}"]) for role in ROLES},
            }
            for site, row in state.members.items()
        },
        "recipes": {
            f"{name} {version}": {field: getattr(row, field) for field in RECIPE}
            for (name, version), row in state.recipes.items()
        },
        "studies": {
            charter: {field: getattr(row, field) for field in STUDY}
            for charter, row in state.studies.items()
        },
    }


def _said(told: Plain) -> Plain:
    found: Plain = {name: told.get(name) for name in ("agreement_id", "version_id", "agreement")}
    tables = {
        "members": (("site",), MEMBER),
        "recipes": (("id", "version"), RECIPE),
        "studies": (("charter_id",), STUDY),
    }
    for table, (names, fields) in tables.items():
        found[table] = {
            " ".join(str(row.get(name)) for name in names): {
                field: row.get(field) for field in fields
            }
            for row in rows(told, table)
        }
    return found


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
