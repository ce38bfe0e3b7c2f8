"""Fetching from a PACS: everything named is here, known or counted; nobody else is ever asked."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from compliance.errors import NotReady, Unreachable
from hub.services.authority import make_authority
from site_node.imaging import pacs_dimse, pacs_web
from site_node.imaging.importing import silent
from site_node.imaging.inbox import Fetched, Inbox
from site_node.imaging.pacs_client import fetch_of
from site_node.imaging.query import KEYS, query_of
from site_node.settings import Settings
from tests.site_node.imaging.files import SECRET, Site, file_of, folder_of, header, picture
from tests.site_node.imaging.pacs import DicomPacs, Shelf, WebPacs, multipart, reply
from tests.site_node.imaging.sender import collect_what_pynetdicom_left, settings_for
from tests.site_node.imaging.test_scp import receiving

REPORT = "1.2.840.10008.5.1.4.1.1.88.11"
ASKED = ["Modality=CR"]


@pytest.fixture(autouse=True)
def _library_leaves_sockets() -> Iterator[None]:
    """Pynetdicom leaves sockets of broken associations to the collector."""
    yield
    collect_what_pynetdicom_left()


@pytest.fixture(autouse=True)
def waited_for(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Between two tries no time passes here; what would have been waited."""
    waited: list[float] = []
    real = pacs_web.WebPacs.__init__

    def quick(self: Any, settings: Settings, work: Path, **more: Any) -> None:
        real(self, settings, work, **({"wait": waited.append} | more))

    monkeypatch.setattr(pacs_web.WebPacs, "__init__", quick)
    return waited


def shelf(count: int = 6) -> Shelf:
    """Radiographs, a report of the same patients, and a CT that nobody asks for."""
    files = [file_of(header(f"{n:05d}", n), picture(n)) for n in range(1, count + 1)]
    files.append(file_of(header("00001", 90, SOPClassUID=REPORT, Modality="CR"), picture(90)))
    files.append(file_of(header("00002", 91, Modality="CT"), picture(91)))
    return Shelf(files)


def fetch(settings: Settings, words: list[str] = ASKED) -> Fetched:
    """Fetch as `site import pacs` does before it imports."""
    made = fetch_of("pacs", words, settings, lambda _: SECRET)
    assert made is not None
    return made(silent)


def kept(home: Path) -> set[str]:
    """Instance numbers of everything in the inbox."""
    return {str(dcmread(path).SOPInstanceUID) for path in (home / "inbox").glob("??/*.dcm")}


def by_web(home: Path, url: str, **more: Any) -> Settings:
    """A site that knows a PACS by DICOMweb."""
    return settings_for(home, pacs_url=url, **more)


def by_dicom(home: Path, port: int, **more: Any) -> Settings:
    """A site that knows a PACS by DICOM."""
    return settings_for(home, pacs_host="127.0.0.1", pacs_port=port, pacs_aet="PACS", **more)


SIX = {f"1.2.3.{n}.1.1" for n in range(1, 7)}
ALL_COUNTED = {"named": 7, "here_before": 0, "received": 6,
               "not_received_class_not_supported": 1}  # fmt: skip


def test_by_dicomweb_everything_named_is_here_or_counted(site):
    """Seven named, six received byte by byte, one of a class that no import reads."""
    pacs = WebPacs(shelf())
    with pacs.open() as url:
        told = fetch(by_web(site.home, url))

    assert told.plain() == ALL_COUNTED
    assert kept(site.home) == SIX
    found = {path.read_bytes() for path in (site.home / "inbox").glob("??/*.dcm")}
    assert found == set(pacs.shelf.files[:6])


def test_by_c_get_everything_named_is_here_or_counted(site):
    """The same counts over DICOM itself."""
    with DicomPacs(shelf()).open() as port:
        told = fetch(by_dicom(site.home, port))

    assert told.plain() == ALL_COUNTED
    assert kept(site.home) == SIX


def test_by_c_move_everything_named_reaches_our_receiver_or_is_counted(site):
    """The PACS sends to the receiver of this site; the counts are the same."""
    settings = by_dicom(site.home, 1, pacs_retrieve="move", scp_allow=("PACS@127.0.0.1",))
    pacs = DicomPacs(shelf(), {settings.scp_aet: settings.scp_port})

    with receiving(settings), pacs.open() as port:
        told = fetch(settings.model_copy(update={"pacs_port": port}))

    assert told.plain() == ALL_COUNTED
    assert kept(site.home) == SIX


@pytest.mark.parametrize("way", ["web", "get"])
def test_what_is_here_already_is_not_fetched_again(site, way):
    """A second run asks for names only; a lost file alone is fetched."""
    held = shelf()
    pacs: Any = WebPacs(held) if way == "web" else DicomPacs(held)
    with pacs.open() as where:
        settings = (by_web if way == "web" else by_dicom)(site.home, where)
        first = fetch(settings)
        pacs.asked.clear()
        second = fetch(settings)
        next((site.home / "inbox").glob("??/*.dcm")).unlink()
        third = fetch(settings)

    assert (first.received, second.here_before, second.received) == (6, 6, 0)
    assert (third.here_before, third.received) == (5, 1)
    assert second.hashes == first.hashes == third.hashes
    if way == "web":
        assert pacs.fetched() == 1


def test_of_a_series_that_is_partly_here_only_the_rest_is_asked_for(site):
    """A series of thousand slices that broke off at the last is not sent again as a whole."""
    one = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
    held = Shelf([file_of(header("00001", n, **one), picture(n)) for n in range(1, 6)])
    pacs = DicomPacs(held)
    with pacs.open() as port:
        settings = by_dicom(site.home, port)
        assert fetch(settings).received == 5
        lost = next((site.home / "inbox").glob("??/*.dcm"))
        number = str(dcmread(lost).SOPInstanceUID)
        lost.unlink()
        told = fetch(settings)

    assert (told.here_before, told.received) == (4, 1)
    assert pacs.asked[-1].QueryRetrieveLevel == "IMAGE"
    assert pacs.asked[-1].SOPInstanceUID == number


@pytest.mark.parametrize("way", ["web", "get"])
def test_two_objects_with_one_number_are_both_here(site, way):
    """31 numbers are shared among pydicom's files; a PACS once dropped such objects in silence."""
    files = [
        file_of(header("00001", n, SOPInstanceUID="1.2.3.9.9"), picture(n)) for n in range(1, 4)
    ]
    pacs: Any = WebPacs(Shelf(files)) if way == "web" else DicomPacs(Shelf(files))
    with pacs.open() as where:
        settings = (by_web if way == "web" else by_dicom)(site.home, where)
        first, second = fetch(settings), fetch(settings)

    assert first.plain() == {"named": 3, "here_before": 0, "received": 3}
    assert second.plain() == {"named": 3, "here_before": 3, "received": 0}
    assert len(list((site.home / "inbox").glob("??/*.dcm"))) == 3


def test_only_what_the_query_named_is_imported(site, tmp_path):
    """Files that arrived for something else stay in the inbox, untouched."""
    labels = folder_of(tmp_path / "one", 8) / "labels.csv"
    inbox, work = Inbox(site.home), site.home / "arriving"
    inbox.ready(work)
    (work / "x").write_bytes(file_of(header("00008", 8), picture(8)))
    inbox.take(work / "x", "other")
    with WebPacs(shelf()).open() as url:
        made = fetch_of("pacs", ASKED, by_web(site.home, url), lambda _: SECRET)
        told = site.take("pacs", labels=labels, fetch=made)

    plain = Site(tmp_path / "plain").take(folder_of(tmp_path / "six", 6))
    assert (told["files"], told["imported"]) == (6, 6)
    assert told["pacs"] == ALL_COUNTED
    assert told["version"] == plain["version"]


def test_a_pacs_that_sends_us_elsewhere_is_not_followed(site, monkeypatch):
    """Redirects, retrieve addresses in answers, proxies of the environment: nothing is asked."""
    reached = []
    connect = socket.socket.connect

    def watched(self: socket.socket, address: Any) -> None:
        reached.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", watched)
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.9:3128")

    def redirect(path: str, handler: Any) -> bool:
        if not path.endswith("/instances/1.2.3.3.1.1"):
            return False
        reply(handler, 302, b"", "text/plain", Location="http://192.0.2.1/elsewhere")
        return True

    with WebPacs(shelf(), redirect).open() as url:
        told = fetch(by_web(site.home, url))
        port = int(url.split(":")[2].split("/")[0])

    assert (told.received, told.missing["not_sent"]) == (5, 1)
    assert {address[:2] for address in reached if isinstance(address, tuple)} == {
        ("127.0.0.1", port)
    }


def test_a_number_that_is_a_path_is_never_asked_for(site):
    """An instance number `../../evil` goes into no address; it is counted."""
    made = shelf()
    made.headers[0] = header("00001", 1)
    made.headers[0].add_new(0x00080018, "LO", "../../evil")
    pacs = WebPacs(made)

    with pacs.open() as url:
        told = fetch(by_web(site.home, url))

    assert told.missing["bad_uid"] == 1
    assert not any("evil" in path for path, _ in pacs.asked)


def test_a_busy_pacs_is_asked_again_later_and_later(site, waited_for):
    """Three times busy, then it answers."""
    left = [3]

    def busy(path: str, handler: Any) -> bool:
        if path != "/studies" or not left[0]:
            return False
        left[0] -= 1
        reply(handler, 503, b"", "text/plain")
        return True

    with WebPacs(shelf(), busy).open() as url:
        assert fetch(by_web(site.home, url)).received == 6

    assert waited_for == [1.0, 2.0, 4.0]


def short(handler: Any, data: bytes) -> None:
    """An answer that breaks off in the middle of the object."""
    body = multipart(data)[: len(data) // 2]
    reply(handler, 200, body, 'multipart/related; type="application/dicom"; boundary=b-1')


def without_boundary(handler: Any, data: bytes) -> None:
    """An answer that does not say what stands between its parts."""
    reply(handler, 200, multipart(data), "multipart/related")


def no_part(handler: Any, _data: bytes) -> None:
    """An answer without any part."""
    reply(handler, 200, b"--b-1--\r\n", "multipart/related; boundary=b-1")


@pytest.mark.parametrize("answer", [short, without_boundary, no_part])
def test_a_broken_answer_is_tried_again_and_leaves_no_half_file(site, answer):
    """Twice broken, then whole: the object is here, and it is the PACS's, byte by byte."""
    made, left = shelf(), [2]

    def broken(path: str, handler: Any) -> bool:
        if not path.endswith("/instances/1.2.3.3.1.1") or not left[0]:
            return False
        left[0] -= 1
        answer(handler, made.files[2])
        return True

    with WebPacs(made, broken).open() as url:
        told = fetch(by_web(site.home, url))

    assert told.received == 6
    found = {path.read_bytes() for path in (site.home / "inbox").glob("??/*.dcm")}
    assert found == set(made.files[:6])


def test_an_answer_without_parts_is_taken_as_the_object(site):
    """Some PACS answer with the plain file."""
    made = shelf()

    def plain(path: str, handler: Any) -> bool:
        number = path.rpartition("/instances/1.2.3.")[2].split(".")[0]
        if "/instances/" not in path:
            return False
        reply(handler, 200, made.files[int(number) - 1], "application/dicom")
        return True

    with WebPacs(made, plain).open() as url:
        assert fetch(by_web(site.home, url)).received == 6


def test_an_object_beyond_the_limit_is_counted_and_not_kept(site, monkeypatch):
    """The transfer ends at the limit, not at the end of the disk."""
    made = shelf()
    made.files[2] += bytes(50_000)
    real = pacs_web.WebPacs.__init__
    monkeypatch.setattr(
        pacs_web.WebPacs,
        "__init__",
        lambda self, settings, work: real(self, settings, work, most=20_000),
    )

    with WebPacs(made).open() as url:
        told = fetch(by_web(site.home, url))

    assert (told.received, told.missing["too_large"]) == (5, 1)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (401, b"", "does not accept this site"),
        (400, b"", "status 400"),
        (302, b"", "status 302"),
    ],
)
def test_a_pacs_that_refuses_is_told_in_one_sentence(site, status, body, why):
    """What happened and what to do."""

    def refuse(_path: str, handler: Any) -> bool:
        reply(handler, status, body, "application/dicom+json")
        return True

    with WebPacs(shelf(), refuse).open() as url, pytest.raises(NotReady, match=why):
        fetch(by_web(site.home, url))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_pacs_that_is_away_is_named_on_both_ways(site):
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(Unreachable, match="the PACS does not answer"):
        fetch(by_web(site.home, f"http://127.0.0.1:{port}/dicom-web"))
    with pytest.raises(Unreachable, match=f"PACS@127.0.0.1:{port} does not answer"):
        fetch(by_dicom(site.home, port))


def test_a_pacs_that_does_not_know_us_is_told_apart_from_one_that_is_away(site):
    """The administrator must enter our title; trying again would not help."""
    pacs = DicomPacs(shelf())
    pacs.callers = ["SOMEBODY"]

    with pacs.open() as port, pytest.raises(NotReady, match="does not let CONSILIUM in"):
        fetch(by_dicom(site.home, port))


def test_a_full_disk_stops_a_pull_and_the_next_one_goes_on(site, monkeypatch):
    """What came is kept; with room only the rest is fetched."""
    settings_floor = 10**6
    for way in (WebPacs, DicomPacs):
        with way(shelf()).open() as where:
            make = by_web if way is WebPacs else by_dicom
            with pytest.raises(NotReady, match="GB left; what came is kept"):
                fetch(make(site.home, where, scp_disk_floor_gb=settings_floor))

    assert kept(site.home) == set()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority and a certificate for loopback."""
    folder = tmp_path_factory.mktemp("tls")
    make_authority(folder / "tls", "pacs.example", "127.0.0.1", datetime.now(UTC))
    return folder / "tls"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", [WebPacs, DicomPacs])
def test_beyond_this_machine_a_pacs_is_asked_by_tls_alone(site, tls, monkeypatch, way):
    """It must show a certificate that we trust; without one nothing is asked."""
    monkeypatch.setattr(pacs_dimse, "HERE", ())  # loopback stands in for the hospital's network
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(tls / "server.pem", tls / "server.key")
    make = by_web if way is WebPacs else by_dicom
    pacs = way(shelf())

    with pacs.open(shown) as where:
        with pytest.raises(Unreachable):
            fetch(make(site.home, where))
        assert pacs.asked == []
        assert fetch(make(site.home, where, pacs_ca_file=tls / "ca.pem")).received == 6


def test_a_plain_pacs_beyond_this_machine_is_not_asked(site, monkeypatch):
    """Patient numbers do not cross the hospital's network in the open, unless somebody says so."""
    monkeypatch.setattr(pacs_dimse, "HERE", ())
    pacs = DicomPacs(shelf())

    with pacs.open() as port:
        with pytest.raises(Unreachable):
            fetch(by_dicom(site.home, port))
        assert pacs.asked == []
        assert fetch(by_dicom(site.home, port, pacs_plain_lan=True)).received == 6


def test_the_password_is_read_from_a_file_that_nobody_else_may_read(site, tmp_path):
    """Mode 0600, or the import does not begin; the PACS gets what stands in it."""
    secret, seen = tmp_path / "password", []
    secret.write_text("s3cret\n")
    secret.chmod(0o644)

    def note(_path: str, handler: Any) -> bool:
        seen.append(handler.headers["Authorization"])
        return False

    with WebPacs(shelf(), note).open() as url:
        settings = by_web(site.home, url, pacs_user="node", pacs_password_file=secret)
        with pytest.raises(NotReady, match="others may read it"):
            fetch(settings)
        assert seen == []
        secret.chmod(0o600)
        fetch(settings)

    assert set(seen) == {"Basic bm9kZTpzM2NyZXQ="}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["Modality"],
        ["Modality="],
        ["url=http://192.0.2.1"],
        ["RetrieveURL=http://192.0.2.1"],
        ["PatientID=1\\2"],
        ["PatientID=1\n2"],
        ["modality=CR"],
        ["PatientName=Doe"],
    ],
)
def test_a_word_that_is_no_key_of_the_list_is_refused(words):
    """No word of a command becomes an address, and nobody asks for the whole archive."""
    with pytest.raises(NotReady):
        query_of(words)


def test_no_key_of_a_query_can_name_an_address():
    """The list is closed, and it holds matching keys only."""
    assert not [key for key in KEYS if any(w in key.lower() for w in ("url", "host", "address"))]


def test_a_query_without_a_pacs_in_the_settings_says_what_to_set(site):
    """And a query for a folder is a mistake."""
    with pytest.raises(NotReady, match="the settings name no PACS"):
        fetch_of("pacs", ASKED, Settings(home=site.home), lambda _: SECRET)
    with pytest.raises(NotReady, match="goes with the source `pacs` only"):
        fetch_of("/srv/dicom", ASKED, Settings(home=site.home), lambda _: SECRET)


def test_progress_names_rate_and_time_left(site):
    """A technician sees whether to wait or to go home."""
    said: list[str] = []
    with WebPacs(shelf()).open() as url:
        made = fetch_of("pacs", ASKED, by_web(site.home, url), lambda _: SECRET)
        assert made is not None
        made(lambda words, _share: said.append(words))

    assert len(said) == 6
    assert said[-1].startswith("fetched 6 of 6, ")
    assert said[-1].endswith("/s, 0 s left")
