"""A real PACS: everything it holds arrives, or is listed with a reason; the counts agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from compliance.records.reasons import Quarantine
from site_node.imaging.facts import RECEIVED
from site_node.imaging.scp import SYNTAXES
from tests.needs import need
from tests.site_node.imaging.orthanc import NAMES

ROOT = Path(__file__).resolve().parents[3]
WAYS = ("store", "web", "get", "move")
PULLED = ("web", "get", "move")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The story of orthanc.py, told once in a network namespace of its own."""
    need("orthanc")
    root = tmp_path_factory.mktemp("orthanc")
    enter = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    program = [sys.executable, "-m", "tests.site_node.imaging.orthanc"]
    words = [*enter, "sh", "-c", 'ip link set lo up && exec "$@"', "story", *program]
    done = subprocess.run(
        [*words, str(root), str(root / "told.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((root / "told.json").read_text())


def named(told: dict[str, Any]) -> list[dict[str, str]]:
    """What the PACS names for `PatientID=*`: four of the bundled objects have no such element.

    Two have the same study, series and instance number under two patients: one name for both.
    """
    rows = [row for row in told["pacs"] if row["patient"] == "named"]
    return list({tuple(row[name] for name in NAMES[:3]): row for row in rows}.values())


def readable(told: dict[str, Any], way: str) -> list[dict[str, str]]:
    """What of it an import reads by class; the PACS sends us those without patient too."""
    rows = told["pacs"] if way == "store" else named(told)
    return [row for row in rows if row["SOPClassUID"] in RECEIVED]


def numbers(rows: list[dict[str, str]]) -> list[str]:
    """Instance numbers, each as often as it stands there."""
    return sorted(row["SOPInstanceUID"] for row in rows)


def pictures(rows: list[dict[str, str]], among: set[str]) -> set[tuple[str, str]]:
    """Number and pixels of the objects with these numbers."""
    return {
        (row["SOPInstanceUID"], row["pixels"]) for row in rows if row["SOPInstanceUID"] in among
    }


def test_the_pacs_holds_what_it_counts(told):
    """The story rests on a PACS with images and with other objects."""
    assert told["counted"] == len(told["pacs"])
    assert 100 <= len(readable(told, "web")) < len(named(told)) < told["counted"]


@pytest.mark.parametrize("way", WAYS)
def test_every_readable_object_arrives_once(told, way):
    """By C-STORE, DICOMweb, C-GET and C-MOVE the same objects are here, none lost, none added."""
    assert numbers(told[way]["kept"]) == numbers(readable(told, way))


@pytest.mark.parametrize("way", WAYS)
def test_what_needs_no_conversion_arrives_with_its_own_pixels(told, way):
    """What the PACS stores in an encoding that we take comes bit by bit as it is stored."""
    taken = {row["SOPInstanceUID"] for row in readable(told, way) if row["syntax"] in SYNTAXES}

    assert pictures(told[way]["kept"], taken) == pictures(readable(told, way), taken)


@pytest.mark.parametrize("way", PULLED)
def test_what_did_not_come_is_counted_and_the_counts_agree_with_the_pacs(told, way):
    """Named is what the PACS holds; received and left out add up to it."""
    counts = told[way]["import"]["pacs"]

    assert counts["named"] == len(named(told))
    assert counts["received"] == len(readable(told, way))
    assert counts["here_before"] == 0
    left_out = counts["not_received_class_not_supported"]
    assert counts["received"] + left_out == counts["named"]


@pytest.mark.parametrize("way", WAYS)
def test_every_object_that_arrived_is_imported_or_listed_with_a_reason(told, way):
    """The import counts each file once, and every reason is of the closed list."""
    counts = told[way]["import"]

    assert counts["files"] == len(readable(told, way))
    assert counts["imported"] + counts["quarantined"] + counts["skipped"] == counts["files"]
    assert set(counts["reasons"]) <= {reason.value for reason in Quarantine}
    assert counts["imported"] >= 4


def test_every_way_to_pull_gives_the_same_dataset(told):
    """How an image came does not change what is learned from it."""
    assert len({told[way]["import"]["version"] for way in PULLED}) == 1
    assert len({told[way]["import"]["imported"] for way in WAYS}) == 1


def test_a_second_pull_fetches_nothing_and_changes_nothing(told):
    """Everything is here before; the version is the same."""
    counts = told["again"]["pacs"]

    assert (counts["here_before"], counts["received"]) == (len(readable(told, "web")), 0)
    assert told["again"]["version"] == told["web"]["import"]["version"]


def test_a_query_names_only_what_it_asks_for(told):
    """CT alone is fewer than all, and all of it is here before."""
    counts = told["modality"]["pacs"]

    assert 0 < counts["named"] < told["counted"]
    assert counts["received"] == 0
