"""The description of a dataset that may leave: Croissant 1.0 with the RAI vocabulary.

Closed words, buckets and hashes only: no header value, no path, no count. There is nothing to
download, so `distribution` and `recordSet` are empty. Its hash stands in the registration and in
every charter that names the dataset.

Source: design/compliance.md §9.8; MLCommons Croissant 1.0; GA4GH DUO.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from compliance.records.consortium import bucket_of

DUO = {
    "NRES": "DUO_0000004", "GRU": "DUO_0000042", "HMB": "DUO_0000006", "DS": "DUO_0000007",
    "POA": "DUO_0000011", "NPOA": "DUO_0000044", "NMDS": "DUO_0000015", "NPU": "DUO_0000045",
    "NCU": "DUO_0000046", "NPUNCU": "DUO_0000018", "CC": "DUO_0000043", "IRB": "DUO_0000021",
    "GS": "DUO_0000022", "MOR": "DUO_0000024", "GSO": "DUO_0000016", "PUB": "DUO_0000019",
    "COL": "DUO_0000020", "US": "DUO_0000026", "PS": "DUO_0000027", "IS": "DUO_0000028",
    "TS": "DUO_0000025", "RTN": "DUO_0000029", "RS": "DUO_0000012",
}  # fmt: skip
"""Terms of use by the identifier of the ontology."""

_CR = (
    "citeAs", "column", "dataType", "equivalentProperty", "extract", "field", "fileObject",
    "fileProperty", "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5",
    "parentField", "path", "recordSet", "references", "regex", "repeated", "replace",
    "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
CONTEXT: dict[str, Any] = {name: f"cr:{name}" for name in _CR} | {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "duo": "http://purl.obolibrary.org/obo/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}


TABLE = "table/1"
"""Schema of the description of a table; every other one holds images."""


@dataclass(frozen=True)
class Holder:
    """Who holds the dataset, and under which terms.

    Args:
        site: name of the hospital; empty before it joined.
        title: its name for people.
        duo: terms of use (DUO).
        date: day on which the version was made, `2026-11-22`; empty tells none.
    """

    site: str = ""
    title: str = ""
    duo: tuple[str, ...] = ("GRU",)
    date: str = ""


def croissant(
    description: Mapping[str, Any], quality: Mapping[str, Any], holder: Holder, floor: int
) -> dict[str, Any]:
    """Describe one version of a dataset.

    Args:
        description: what the import says about it in closed words.
        quality: its exact counts; they leave as buckets only.
        holder: who holds it.
        floor: smallest count that may be told at all.
    """
    home = f"https://{holder.site}/" if holder.site else "https://unnamed.invalid/"
    name = str(description["name"])
    modality, part = description["modality"], description["body_part"]
    told = {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": [
            "http://mlcommons.org/croissant/1.0",
            "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "name": f"{holder.site.replace('.', '-')}-{name}".lstrip("-"),
        "alternateName": name,
        "description": f"{_what(description)} of one hospital: modality {', '.join(modality)}, "
        f"body part {', '.join(part)}. They do not leave the hospital; this file describes them.",
        "identifier": description["version"],
        "version": "1.0.0",
        "url": f"{home}datasets/{name}",
        "license": f"{home}terms/{name}",
        "citeAs": "none",
        "creator": {
            "@type": "sc:Organization",
            "name": holder.title or holder.site or "a hospital",
        },
        "isAccessibleForFree": False,
        "usageInfo": [{"@id": f"duo:{DUO[term]}"} for term in holder.duo],
        "distribution": [],
        "recordSet": [],
        "variableMeasured": list(_facts(description, quality, floor)),
    }
    return (
        told | _responsible(description) | ({"datePublished": holder.date} if holder.date else {})
    )


def _responsible(description: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the vocabulary for responsible use; constant sentences, nothing measured."""
    return {
        "rai:dataCollection": "routine care",
        "rai:dataBiases": ["one hospital: its patients, its machines, its habits"],
        "rai:dataLimitations": ["not for clinical use"],
        "rai:dataUseCases": ["training and evaluation of classifiers under a signed charter"],
        "rai:dataReleaseMaintenancePlan": "a new version gets a new identifier",
        "rai:personalSensitiveInformation": [
            f"{_kept(description)} at the hospital by the rules {description['profile']}"
        ],
    }


def _what(description: Mapping[str, Any]) -> str:
    return "Clinical variables" if description["schema"] == TABLE else "Images"


def _kept(description: Mapping[str, Any]) -> str:
    """How persons were taken out of what is held."""
    if description["schema"] == TABLE:
        return "health data, reduced to numbers and closed words"
    return "health images, de-identified"


def _pixel_facts(description: Mapping[str, Any]) -> dict[str, str]:
    """What only images can say."""
    if description["schema"] == TABLE:
        return {}
    return {
        "burned-in text accepted": "yes" if description["burned_in_accepted"] else "no",
        "burned-in text looked for": "yes" if description.get("text_read") else "no",
        "decoders": ", ".join(description["decoders"]),
    }


def _facts(
    description: Mapping[str, Any], quality: Mapping[str, Any], floor: int
) -> Iterator[dict[str, str]]:
    task = description["task"]
    facts = {
        "task": task["kind"],
        "classes": ", ".join(task["classes"]),
        "shape": " x ".join(str(side) for side in description["shape"]),
        "intensity": description["intensity"],
        "import recipe": description["recipe"],
        "split": description["split"],
        "root": description["root"],
        **_pixel_facts(description),
        "patients": bucket_of(quality["patients"], floor),
    }
    unit = "cases" if description["schema"] == TABLE else "images"
    for split, row in quality["samples"].items():
        for word, count in row.items():
            facts[f"{unit}, {split}, {word}"] = bucket_of(count, floor)
    for word, count in quality["findings"].items():
        facts[f"finding, {word}"] = bucket_of(count, floor)
    for name, value in facts.items():
        yield {"@type": "sc:PropertyValue", "name": name, "value": str(value)}
