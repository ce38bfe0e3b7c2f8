"""What may be said about a dataset: closed words and counts, small counts hidden.

Two papers per version. `quality` holds exact counts and stays here; its hash is blinded by the
site's secret, because a hash over a few small numbers can be guessed. `description` leaves: a count
below the floor is `<5`, and as soon as one is hidden every total says only that it is not below the
floor, since a difference of two totals would reveal it.

Source: design/imaging.md §9, §10.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compliance.canonical import digest_of
from site_node.imaging.curate import Version, root_of
from site_node.imaging.curated import SEVERAL, SPLITS
from site_node.imaging.deid.profiles import PROFILES, RULES_EDITION, Profile
from site_node.imaging.deid.sums import total_of
from site_node.imaging.facts import OTHER
from site_node.imaging.keys import SiteKeys
from site_node.imaging.reading import Place
from site_node.store.objects import ObjectRow

LOCALIZER = "localizer_left_out"
SCHEMA = "dataset/1"
KEPT = ("class", "modality", "body_part", "sex", "age", "decoder", "syntax")
OWN_PROFILE = "own"
"""How a hospital's own profile is called outside; its hash says which, its name is theirs."""


def exact_counts(version: Version, task: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Images per split and class; of several labels, how many images carry each."""
    classes = list(task["classes"])
    counts = {split: dict.fromkeys(classes, 0) for split in SPLITS}
    for entry in version.entries:
        if task["kind"] in SEVERAL:
            names = [name for name, held in zip(classes, entry.label, strict=True) if held]
        else:
            names = [classes[entry.label[0]]]
        for name in names:
            counts[SPLITS[entry.split]][name] += 1
    return counts


def images_by_split(version: Version) -> dict[str, int]:
    """Images per split, each counted once whatever its labels are."""
    held = Counter(SPLITS[entry.split] for entry in version.entries)
    return {split: held[split] for split in SPLITS}


def findings_of(rows: Iterable[ObjectRow]) -> dict[str, int]:
    """How many objects carry each finding or quarantine reason."""
    found: Counter[str] = Counter()
    for row in rows:
        reason = row.stays_out
        found.update([reason] if reason else row.findings)
        found.update([row.outcome] if row.outcome == LOCALIZER else ())
    return dict(sorted(found.items()))


def describe(
    version: Version,
    *,
    place: Place,
    task: dict[str, Any],
    actions: Sequence[tuple[Mapping[str, Any], int]],
    keys: SiteKeys,
    floor: int,
    rows: Sequence[ObjectRow],
) -> None:
    """Fill in description and quality of a version.

    Args:
        version: assembled entries and objects.
        place: name, recipe and profile; the hashes of both are part of the description.
        task: kind and classes.
        actions: what was done to headers, each sum with its number of objects.
        keys: for the root and the blinding.
        floor: smallest count that may be told.
        rows: all objects of the dataset, for the reasons of those that stayed out.
    """
    counts = exact_counts(version, task)
    hidden = any(0 < n < floor for split in counts.values() for n in split.values())
    patients = len({entry.patient for entry in version.entries})
    findings = findings_of(rows)
    if hidden:
        findings["split_small"] = 1
    root = root_of(version, keys)
    description: dict[str, Any] = {
        "schema": SCHEMA,
        "name": place.dataset,
        "task": task,
        "recipe": place.recipe.sha256,
        "shape": list(place.recipe.shape),
        "dtype": "u16",
        "intensity": place.recipe.intensity,
        "decoders": words_of(version.objects, "decoder", floor),
        "modality": words_of(version.objects, "modality", floor),
        "body_part": words_of(version.objects, "body_part", floor),
        "split": version.split,
        "patients": told(patients, floor, total_hidden=hidden),
        "samples": {
            split: {word: told(n, floor) for word, n in row.items()}
            for split, row in counts.items()
        },
        "profile": place.profile.sha256,
        "burned_in_accepted": place.recipe.accept_burned_in,
        "text_read": place.find_text,
        "quality": {
            word: told(n, floor, total_hidden=hidden)
            for word, n in findings.items()
            if word != "split_small"
        },
        "root": root,
    }
    version.description = description | {"version": digest_of(description)}
    version.quality = _quality(version, counts, findings, patients, keys)
    version.quality["deidentification"] = _done(place.profile, actions)


def _quality(
    version: Version,
    counts: dict[str, dict[str, int]],
    findings: dict[str, int],
    patients: int,
    keys: SiteKeys,
) -> dict[str, Any]:
    distributions = {
        fact: dict(sorted(Counter(row.facts.get(fact, OTHER) for row in version.objects).items()))
        for fact in KEPT
    }
    return {
        "schema": "quality/1",
        "version": version.name,
        "patients": patients,
        "samples": counts,
        "findings": findings,
        "distributions": distributions,
        "blind": keys.blind(f"quality/{version.name}"),
    }


def _done(profile: Profile, actions: Sequence[tuple[Mapping[str, Any], int]]) -> dict[str, Any]:
    """Profile, its hash, and the sum of what was done: tags and counts, no value."""
    return {
        "profile": profile.plain(),
        "profile_sha256": profile.sha256,
        "actions": total_of(actions),
    }


def told(count: int, floor: int, *, total_hidden: bool = False) -> int | str:
    """A count as it may leave."""
    if 0 < count < floor:
        return f"<{floor}"
    return f"≥{floor}" if total_hidden and count else count


def words_of(rows: Sequence[ObjectRow], fact: str, floor: int) -> list[str]:
    """Closed words that at least `floor` objects share; rarer ones are `other`."""
    counts = Counter(row.facts.get(fact, OTHER) for row in rows)
    words = {word if n >= floor else OTHER for word, n in counts.items()}
    return sorted(words)


def deidentification(keys: SiteKeys, version: Version, profile: Profile) -> dict[str, Any]:
    """By which rules the dataset was de-identified, as its registration says it."""
    report = {
        "objects": len(version.objects),
        "blind": keys.blind(f"deid/{version.name}"),
        "deidentification": version.quality["deidentification"],
    }
    return {
        "profile": profile.name if profile.name in PROFILES else OWN_PROFILE,
        "version": RULES_EDITION,
        "rules_sha256": profile.sha256,
        "report_sha256": digest_of(report),
    }
