"""Proofs against the consortium's log: members, recipe, datasets and the study were agreed there.

Each entry travels with its proof; a policy that comes from outside the bundle says whose signatures
count. Nothing of the consortium's other business is in a study's bundle. That these entries obeyed
the rules is what the consortium's witnesses cosigned; their fold needs the whole log, which is not
here.

Source: design/compliance.md §1.2, kind P.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import NotProven
from compliance.ledger.checkpoint import parse_text
from compliance.ledger.merkle import Tree, leaf_hash
from compliance.ledger.policy import Policy
from compliance.ledger.proof import check_proof, parse_proof, write_proof
from compliance.records.charter import CharterBody
from compliance.report.kinds import CONSORTIUM
from compliance.report.log import Log
from compliance.report.registered import Registered, read_registered, registered
from compliance.signing.note import parse

KEYS = ("institution", "node", "witness")
ABOUT_MEMBERS = frozenset({"member.admitted", "member.suspended", "member.left"})


def consortium_files(
    log: Log, entries: Sequence[bytes], checkpoint: bytes, policy: str
) -> dict[str, bytes]:
    """The entries of the consortium's log that are about this study, with their proofs.

    Args:
        log: the study's log.
        entries: the consortium's whole log, at least up to the checkpoint's size.
        checkpoint: of the consortium's log, with its cosignatures.
        policy: copy of its policy, for comparison only.

    Returns:
        Files by path below `data/`.
    """
    size, tree = parse_text(parse(checkpoint).text).size, Tree()
    folder = CONSORTIUM.removeprefix("data/")
    for entry in entries[:size]:
        tree.append(leaf_hash(entry))
    files = {f"{folder}checkpoint": checkpoint, f"{folder}policy.txt": policy.encode()}
    for index, data in enumerate(entries[:size]):
        if _is_about(read_registered(index, data), log):
            files[f"{folder}{index}.note"] = data
            proof = write_proof(index, tree.inclusion(index), checkpoint)
            files[f"{folder}{index}.tlog-proof"] = proof
    return files


def check_consortium(log: Log, files: Mapping[str, bytes], policy: Policy) -> str:
    """Check every consortium entry of a bundle; say what they prove about this study.

    Args:
        log: the study's log.
        files: the bundle's files.
        policy: whose signatures count for the consortium's log.

    Raises:
        NotProven, Malformed: a proof does not hold, or is about another consortium or study.
    """
    entries, charter = list(registered(files)), log.state.charter
    policy.judge(files.get(f"{CONSORTIUM}checkpoint", b""))
    for entry in entries:
        _check_entry(entry, files, policy)
    _check_agreement(entries, charter)
    _check_keys(entries, log.charters()[0][1])
    _check_listing(entries, log)
    missing = wanting(log, entries)
    words = f"; no proof here of: {', '.join(missing)}" if missing else ""
    return f"{len(entries)} entries of the consortium's log{words}"


def wanting(log: Log, entries: Sequence[Registered]) -> list[str]:
    """What the charter names and no entry proves: members, recipe, datasets, the study itself."""
    charter = log.state.charter
    keys, recipes, datasets = _keys(entries), _recipes(entries), _datasets(entries)
    recipe = charter.recipe
    found = [f"member {site.name}" for site in charter.sites if site.name not in keys]
    if (recipe.id, recipe.version, recipe.sha256) not in recipes:
        found.append(f"recipe {recipe.id} {recipe.version}")
    wanted = ((row.site, row.id, row.version) for row in charter.datasets)
    found += [f"dataset {row[0]} {row[1]}" for row in wanted if row not in datasets]
    listed = any(entry.kind == "study.opened" for entry in entries)
    return found if listed else [*found, "the study"]


def _is_about(entry: Registered, log: Log) -> bool:
    charter, body, kind = log.state.charter, entry.body, entry.kind
    if entry.index == 0 or kind == "agreement.amended":
        return True
    if kind in ABOUT_MEMBERS:
        return (body.get("site") or entry.site) in charter.site_names()
    if kind == "key.rotated":
        return str(body.get("name")).rpartition("/")[0] in charter.site_names()
    if kind == "recipe.registered":
        named = (body.get("recipe"), body.get("version"))
        return named == (charter.recipe.id, charter.recipe.version)
    if kind == "dataset.registered":
        rows = [row for _, version in log.charters() for row in version.datasets]
        told = (entry.site, body.get("dataset"), body.get("version"))
        return told in [(row.site, row.id, row.version) for row in rows]
    return kind == "study.opened" and body.get("charter") == log.state.charter_id


def _check_entry(entry: Registered, files: Mapping[str, bytes], policy: Policy) -> None:
    path = f"{CONSORTIUM}{entry.index}.tlog-proof"
    if path not in files:
        raise NotProven("consortium", f"{path} is missing")
    proof = parse_proof(files[path])
    if proof.index != entry.index:
        raise NotProven("consortium", f"{path} is about entry {proof.index}")
    try:
        check_proof(proof, entry.data, policy)
    except NotProven as error:
        raise NotProven("consortium", f"{path}: {error.finding}") from None


def _check_agreement(entries: Sequence[Registered], charter: CharterBody) -> None:
    first = next((entry for entry in entries if entry.index == 0), None)
    if first is None:
        raise NotProven("consortium", f"{CONSORTIUM}0.note, the agreement, is missing")
    if sha256_id(first.note.text) != charter.consortium:
        raise NotProven("consortium", "the agreement is not the one that the charter names")
    for entry in entries:
        if entry.index and entry.said.get("log") != charter.consortium:
            raise NotProven("consortium", f"entry {entry.index} was made for another log")


def _check_keys(entries: Sequence[Registered], charter: CharterBody) -> None:
    """The charter's keys are those under which its hospitals were admitted."""
    known = _keys(entries)
    for site in charter.sites:
        for role in KEYS:
            key = getattr(site, role)
            if site.name in known and key not in known[site.name]:
                raise NotProven("consortium", f"the {role} key of {site.name} is not the member's")


def _check_listing(entries: Sequence[Registered], log: Log) -> None:
    """The entry that lists the study names this very charter, as it was signed."""
    first = "sha256:" + log.leaves[0].hex()
    for entry in entries:
        if entry.kind == "study.opened":
            told = (entry.body.get("charter"), entry.body.get("entry0"))
            if told != (log.state.charter_id, first):
                raise NotProven("consortium", f"entry {entry.index} lists another study")


def _keys(entries: Iterable[Registered]) -> dict[str, set[str]]:
    """Every key under which a hospital was a member, by hospital."""
    found: dict[str, set[str]] = {}
    for entry in entries:
        rows: Any = []
        if entry.kind in ("agreement", "member.admitted"):
            rows = entry.body.get("members", [entry.body])
        for row in (row for row in rows if isinstance(row, dict)):
            name = str(row.get("name") or row.get("site"))
            found.setdefault(name, set()).update(str(row.get(role)) for role in KEYS)
        if entry.kind == "key.rotated":
            name = str(entry.body.get("name")).rpartition("/")[0]
            found.setdefault(name, set()).add(str(entry.body.get("vkey")))
    return found


def _recipes(entries: Iterable[Registered]) -> set[tuple[object, ...]]:
    fields = ("recipe", "version", "recipe_sha256")
    return {
        tuple(entry.body.get(name) for name in fields)
        for entry in entries
        if entry.kind == "recipe.registered"
    }


def _datasets(entries: Iterable[Registered]) -> set[tuple[object, ...]]:
    return {
        (entry.site, entry.body.get("dataset"), entry.body.get("version"))
        for entry in entries
        if entry.kind == "dataset.registered"
    }
