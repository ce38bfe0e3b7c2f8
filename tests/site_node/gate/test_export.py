"""A hospital exports the evidence from its own mirror; nobody else is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compliance.errors import NotReady
from compliance.report.bag import read_zip
from compliance.report.request import Request, parse_request
from compliance.report.verify import verify
from site_node.gate.export import export
from site_node.gate.mirror import find_mirrored
from site_node.wiring import Rooms
from tests.site_node.gate.world import STUDY, World


@pytest.fixture
def rooms(world: World) -> Rooms:
    """A site with a launched study."""
    made = world.joined()
    world.launched(made)
    return made


def make(rooms: Rooms, out: Path, purpose: str = "audit") -> dict[str, Any]:
    """Export the one study."""
    asked = Request(study=STUDY, out=out, purpose=purpose)
    return export(rooms.mirror, rooms.keys, asked, record=rooms.recorder)


def test_a_bundle_from_the_mirror_verifies_without_the_hub(
    world: World, rooms: Rooms, tmp_path: Path
) -> None:
    """With the hub away the bundle is built, and an auditor's verifier accepts it."""
    rooms.witness.follow_quorum(STUDY)
    world.hub.away = True

    told = make(rooms, tmp_path / "evidence")

    report = verify(Path(told["bundle"]).read_bytes(), told["policy"])
    assert report.exit_code == 0, report
    assert rooms.statements.waiting() == 1


def test_the_export_is_on_record_when_the_hub_answers(
    world: World, rooms: Rooms, tmp_path: Path
) -> None:
    """`export.created` by the hospital's node key is accepted by the fold."""
    rooms.witness.follow_quorum(STUDY)
    make(rooms, tmp_path / "evidence")

    rooms.statements.deliver(rooms.hub)

    assert len(world.hub.log.entries) == 2
    assert rooms.witness.step(STUDY).outcome == "cosigned"


def test_a_log_without_a_quorum_is_not_exported(rooms: Rooms, tmp_path: Path) -> None:
    """What nobody witnessed is no evidence yet."""
    with pytest.raises(NotReady, match="not witnessed"):
        make(rooms, tmp_path)

    assert list(tmp_path.glob("*.zip")) == []


def test_bad_words_are_answered_with_what_to_do(rooms: Rooms, tmp_path: Path) -> None:
    """Unknown purpose, unknown study, a file where the folder should be."""
    rooms.witness.follow_quorum(STUDY)
    with pytest.raises(NotReady, match="Choose: audit"):
        make(rooms, tmp_path, "curiosity")
    with pytest.raises(NotReady, match="site studies"):
        find_mirrored(rooms.mirror, "ffff")
    (tmp_path / "evidence").write_text("a file")
    with pytest.raises(NotReady, match="nothing was kept"):
        make(rooms, tmp_path / "evidence")


def test_the_receipt_of_a_hospitals_export_follows_when_the_log_is_witnessed(
    world: World, rooms: Rooms, tmp_path: Path
) -> None:
    """The next export into the same folder finds the entry under a quorum and writes it."""
    rooms.witness.follow_quorum(STUDY)
    first = make(rooms, tmp_path / "evidence")
    assert first["receipts"] == []
    rooms.statements.deliver(rooms.hub)
    rooms.witness.step(STUDY)
    rooms.witness.follow_quorum(STUDY)

    second = make(rooms, tmp_path / "evidence")

    assert second["receipts"] == [first["bundle"] + ".receipt"]
    receipt = Path(first["bundle"] + ".receipt").read_bytes()
    data = Path(first["bundle"]).read_bytes()
    assert verify(data, first["policy"], receipt=receipt).exit_code == 0


def test_a_size_that_this_site_does_not_keep_is_told(rooms: Rooms, tmp_path: Path) -> None:
    """A mirror keeps the newest cosigned checkpoint only."""
    rooms.witness.follow_quorum(STUDY)
    asked = Request(study=STUDY, out=tmp_path, as_of=77)

    with pytest.raises(NotReady, match="not of 77"):
        export(rooms.mirror, rooms.keys, asked, record=rooms.recorder)


def test_a_hospital_chooses_the_laws_that_its_bundle_answers_to(
    rooms: Rooms, tmp_path: Path
) -> None:
    """The choice stands in the bundle, which verifies with it."""
    rooms.witness.follow_quorum(STUDY)
    words = [STUDY, "--out", str(tmp_path), "--profiles", "gdpr,ehds"]

    told = export(rooms.mirror, rooms.keys, parse_request(words), record=rooms.recorder)

    _, files = read_zip(Path(told["bundle"]).read_bytes())
    assert json.loads(files["data/controls.json"])["profiles"] == ["ehds", "gdpr"]
    assert verify(Path(told["bundle"]).read_bytes(), told["policy"]).exit_code == 0
