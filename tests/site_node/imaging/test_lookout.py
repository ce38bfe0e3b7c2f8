"""Whether images can come in, found out before a PACS is asked or sends."""

from __future__ import annotations

import socket
from collections import namedtuple
from pathlib import Path

import pytest

from compliance.errors import NotReady, Unreachable
from site_node.federation.agent import only_one
from site_node.imaging import lookout
from site_node.imaging.lookout import ask_pacs, look_at_receiver
from site_node.settings import Settings
from tests.site_node.imaging import pacs as pacs_of_tests
from tests.site_node.imaging.sender import (
    collect_what_pynetdicom_left,
    free_port,
    settings_for,
)

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home."""
    return tmp_path


def test_a_free_port_is_opened_by_serve(home):
    """Nothing runs yet: the port can be had, and the sentence says by what."""
    said = look_at_receiver(settings_for(home))

    assert "is free" in said
    assert "site serve" in said


def test_a_port_of_another_program_is_named_before_serve_needs_it(home):
    """Nothing of ours runs, and somebody listens there."""
    settings = settings_for(home)
    with (
        socket.create_server(("127.0.0.1", settings.scp_port)),
        pytest.raises(NotReady, match="cannot be received"),
    ):
        look_at_receiver(settings)


def test_a_receiver_that_answers_is_ours_while_the_site_serves(home):
    """Served, and somebody listens."""
    settings = settings_for(home)
    with only_one(home), socket.create_server(("127.0.0.1", settings.scp_port)):
        assert "Images are received" in look_at_receiver(settings)


def test_a_receiver_that_is_silent_while_the_site_serves_is_down(home):
    """Served, and nobody listens: a sender would be told that the connection is refused."""
    with only_one(home), pytest.raises(NotReady, match="nothing answers"):
        look_at_receiver(settings_for(home))


def test_a_site_that_has_ended_serves_no_more(home):
    """The lock's file stays; the lock does not."""
    with only_one(home):
        pass

    assert "is free" in look_at_receiver(settings_for(home))


def test_a_full_disk_is_told_before_senders_hear_of_it(home, monkeypatch):
    """They would be told to come back later (0xA700)."""
    monkeypatch.setattr(lookout.shutil, "disk_usage", lambda _: Usage(9, 8, 1))

    with pytest.raises(NotReady, match="less than 5 GB"):
        look_at_receiver(settings_for(home, scp_disk_floor_gb=5))


def test_tls_files_that_cannot_be_used_are_named(home):
    """A missing certificate is found here, not at the first scan of the morning."""
    files = {"scp_certificate": home / "none.pem", "scp_key": home / "none.key"}

    with pytest.raises(NotReady, match="certificate cannot be used"):
        look_at_receiver(settings_for(home, **files))


# --- the PACS ---


def test_a_pacs_by_dicomweb_is_asked_about_no_patient(home):
    """One question, for a study that nobody has."""
    pacs = pacs_of_tests.WebPacs(pacs_of_tests.Shelf([]))
    with pacs.open() as address:
        assert ask_pacs(Settings(home=home, pacs_url=address)) == "The PACS answers."

    ((path, words),) = pacs.asked
    assert path.endswith("/studies")
    assert words["StudyInstanceUID"] == "2.25.1"


def test_a_pacs_by_dicomweb_that_is_away_is_unreachable(home):
    """In one sentence with the settings to check."""
    with pytest.raises(Unreachable, match="does not answer"):
        ask_pacs(Settings(home=home, pacs_url=f"http://127.0.0.1:{free_port()}/"))


@pytest.fixture
def echoing():
    """A PACS that answers C-ECHO to those who call it by its title."""
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification

    entity = AE(ae_title="PACS")
    entity.require_called_aet = True
    entity.add_supported_context(Verification)
    server = entity.start_server(("127.0.0.1", 0), block=False)
    yield server.socket.getsockname()[1]
    server.shutdown()
    collect_what_pynetdicom_left()


def dimse(home: Path, port: int, title: str = "PACS") -> Settings:
    """A site that asks this PACS by DICOM."""
    return Settings(home=home, pacs_host="127.0.0.1", pacs_port=port, pacs_aet=title)


def test_a_pacs_by_dicom_answers_to_an_echo(home, echoing):
    """C-ECHO (PS3.7 section 9.1.5)."""
    assert ask_pacs(dimse(home, echoing)) == "The PACS answers."


def test_a_pacs_that_does_not_know_the_title_names_who_can_help(home, echoing):
    """Its administrator enters our title."""
    with pytest.raises(NotReady, match="does not let CONSILIUM in"):
        ask_pacs(dimse(home, echoing, "OTHER"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_pacs_that_is_away_by_dicom_is_unreachable(home):
    """The network, not the title."""
    with pytest.raises(Unreachable, match="does not answer"):
        ask_pacs(dimse(home, free_port()))
    collect_what_pynetdicom_left()
