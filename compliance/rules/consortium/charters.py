"""What the consortium says to a charter: its members, recipe, floors, list and suspensions.

Hub and hospital ask this before a charter is signed, and before each round; the fold of a study
cannot, because it sees one log only.

Source: design/ledger.md §5, design/compliance.md §6.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from compliance.ledger.merkle import leaf_hash
from compliance.records.charter import CharterBody, CharterSite
from compliance.rules.consortium.state import ConsortiumState, Standing
from compliance.rules.verdict import Denied


def check_members(state: ConsortiumState, charter: CharterBody) -> Iterator[Denied]:
    """Name every key that is not the one in force, and everybody who does not belong here."""
    if charter.consortium != state.agreement_id:
        yield Denied("charter.members", charter.consortium, state.agreement_id)
    if charter.hub_key not in _keys_of(state, "H"):
        yield Denied("charter.members", charter.hub_key, "the hub's key in force")
    if charter.researcher not in _keys_of(state, "R"):
        yield Denied("charter.members", charter.researcher, "a researcher's key in force")
    for site in charter.sites:
        yield from _check_member(state, site)


def check_recipe(state: ConsortiumState, charter: CharterBody) -> Iterator[Denied]:
    """Name a recipe that is unknown, retired, or not the one that was registered."""
    named = charter.recipe
    known = state.recipes.get((named.id, named.version))
    which = f"{named.id} version {named.version}"
    if known is None:
        yield Denied("charter.recipe", which, "a registered recipe")
        return
    if known.retired is not None:
        yield Denied("charter.recipe", f"{which}, retired", "a recipe in use")
    pairs = {
        "sha256": (named.sha256, known.sha256),
        "family": (named.family, known.family),
        "bundle_sha256": (charter.bundle_sha256, known.bundle_sha256),
    }
    for name, (found, agreed) in pairs.items():
        if found != agreed:
            yield Denied("charter.recipe", f"{name} {found}", agreed)


def check_floors(state: ConsortiumState, charter: CharterBody) -> Iterator[Denied]:
    """Name every number of a charter that lies below the agreement."""
    floors = state.agreement.floors
    pairs = {
        "min_examples": (charter.min_examples, floors.min_examples),
        "min_cell": (charter.min_cell, floors.min_cell),
        "min_sites": (charter.min_sites, floors.min_sites),
    }
    for name, (found, floor) in pairs.items():
        if found < floor:
            yield Denied("charter.floors", f"{name} = {found}", f"≥ {floor}")


def check_arrangement(state: ConsortiumState, charter: CharterBody) -> Iterator[Denied]:
    """Name joint controllers without their arrangement (GDPR Art. 26).

    It lies with the agreement as `joint_controllers`, or with the charter as a document `other`.
    """
    agreed = any(paper.kind == "joint_controllers" for paper in state.agreement.documents)
    attached = any(paper.kind == "other" for paper in charter.documents)
    if charter.legal.joint_controllers and not (agreed or attached):
        wanted = "a document joint_controllers of the agreement, or other of the charter"
        yield Denied("charter.legal", "joint controllers without an arrangement", wanted)


def check_suspended(state: ConsortiumState, sites: Iterable[str]) -> Iterator[Denied]:
    """Name every one of these hospitals that is suspended."""
    for site in sites:
        known = state.members.get(site)
        if known is not None and known.standing is Standing.SUSPENDED:
            yield Denied("site.suspended", site, site=site)


def check_listed(
    state: ConsortiumState, charter_id: str, entry0_leaf: bytes | str
) -> Iterator[Denied]:
    """Name a study that the consortium log does not list with exactly this beginning.

    Args:
        state: the consortium.
        charter_id: `sha256:` of the text of the study's entry 0.
        entry0_leaf: leaf hash of that entry, 32 bytes, or as `leaf_id` writes it.
    """
    leaf = entry0_leaf if isinstance(entry0_leaf, str) else f"sha256:{entry0_leaf.hex()}"
    known = state.studies.get(charter_id)
    if known is None:
        yield Denied("study.unlisted", charter_id)
    elif known.entry0 != leaf:
        yield Denied("study.unlisted", leaf, known.entry0)


def leaf_id(note: bytes) -> str:
    """Name an entry by its leaf hash, as `study.opened` does."""
    return f"sha256:{leaf_hash(note).hex()}"


QUESTIONS: tuple[Callable[[ConsortiumState, CharterBody], Iterator[Denied]], ...] = (
    check_members,
    check_recipe,
    check_floors,
    check_arrangement,
)


def against(state: ConsortiumState, charter: CharterBody) -> list[Denied]:
    """Say everything that the consortium has against this charter, for drafting and signing."""
    found = [denied for question in QUESTIONS for denied in question(state, charter)]
    return found + list(check_suspended(state, charter.site_names()))


def _check_member(state: ConsortiumState, site: CharterSite) -> Iterator[Denied]:
    known = state.members.get(site.name)
    if known is None or known.standing is Standing.LEFT:
        yield Denied("charter.members", site.name, "a member", site.name)
        return
    held = {"institution": site.institution, "node": site.node, "witness": site.witness}
    for role, key in held.items():
        name = f"{site.name}/{role}"
        if str(state.keys.current[name]) != key:
            found = f"another key for {name}"
            yield Denied("charter.members", found, "the key in force", site.name)


def _keys_of(state: ConsortiumState, role: str) -> set[str]:
    current = state.keys.current.items()
    return {str(key) for name, key in current if state.keys.holders[name].role == role}
