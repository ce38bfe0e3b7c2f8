"""The receiver: whole files from known senders, and nothing else; over real associations."""

from __future__ import annotations

import hashlib
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError
from pydicom import dcmread

from compliance.errors import NotReady
from hub.services.authority import make_authority
from site_node.imaging import scp
from site_node.imaging.inbox import Inbox
from site_node.imaging.keys import open_keys
from site_node.imaging.receiver import Receiver
from site_node.settings import Settings
from tests.site_node.imaging.files import SECRET, Site, file_of, folder_of, header, picture
from tests.site_node.imaging.sender import (
    TITLE,
    calling,
    collect_what_pynetdicom_left,
    free_port,
    send,
    settings_for,
)

REJECTED_FOR_NOW = 2
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _library_leaves_sockets() -> Iterator[None]:
    """Pynetdicom leaves sockets of broken associations to the collector."""
    yield
    collect_what_pynetdicom_left()


@contextmanager
def receiving(settings: Settings, room: list[bool] | None = None) -> Iterator[None]:
    """The receiver in this process, on a real socket."""
    work = settings.home / scp.ARRIVING
    Inbox(settings.home).ready(work)
    scp.tempfile.tempdir = str(work)
    keys = open_keys(settings.home, lambda _: SECRET)
    taking = scp.Taking(Inbox(settings.home), keys, lambda: (room or [True])[0])
    server = scp.begin(settings, taking)
    try:
        yield
    finally:
        server.shutdown()
        scp.tempfile.tempdir = None


@contextmanager
def process(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """The receiver as `site serve` starts it, ready to be called."""
    words = {
        f"CONSILIUM_SITE_{name.upper()}": str(value)
        for name, value in (
            ("scp_port", settings.scp_port),
            ("scp_disk_floor_gb", 0),
            ("scp_allow", f"{TITLE}@127.0.0.1"),
        )
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "site_node.imaging.scp", str(settings.home)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | words,
    )
    try:
        wait_for_port(settings.scp_port, lambda: child.poll() is None)
        yield child
    finally:
        end(child)


def wait_for_port(port: int, lives: Callable[[], bool]) -> None:
    """Until somebody listens."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends and lives():
        with scp.socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        threading.Event().wait(0.05)
    pytest.fail("the receiver did not come up")


def end(child: subprocess.Popen[bytes]) -> bytes:
    """Kill a child; what it said on its standard error."""
    child.kill()
    assert child.stderr is not None
    said = child.stderr.read()
    child.wait()
    for stream in (child.stdin, child.stderr):
        if stream is not None:
            stream.close()
    return said


def pictures(count: int, first: int = 1) -> list[bytes]:
    """Radiographs of different patients."""
    return [file_of(header(f"{n:05d}", n), picture(n)) for n in range(first, first + count)]


def kept(home: Path) -> list[Path]:
    """Every file of the inbox."""
    return sorted((home / "inbox").glob("??/*.dcm"))


def test_what_is_sent_is_kept_byte_by_byte_under_its_hash(site):
    """Each file is whole, readable by its owner only, and holds the data set that was sent."""
    settings, sent = settings_for(site.home), pictures(5)

    with receiving(settings):
        assert send(settings, sent) == [0] * 5

    files = kept(site.home)
    assert len(files) == 5
    for path in files:
        assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.stat().st_mode & 0o777 == 0o600
    names = {dcmread(path).SOPInstanceUID for path in files}
    assert names == {dcmread(BytesIO(data)).SOPInstanceUID for data in sent}
    assert not any((site.home / scp.ARRIVING).iterdir())


def test_a_file_sent_twice_is_kept_once_and_answered_twice(site):
    """A scanner that tries again must not be refused."""
    settings, sent = settings_for(site.home), pictures(1)

    with receiving(settings):
        assert send(settings, [*sent, *sent]) == [0, 0]

    assert len(kept(site.home)) == 1


def test_what_arrived_is_imported_and_equals_the_folder(site, tmp_path):
    """The inbox is a source like any other; a second import changes nothing."""
    folder = folder_of(tmp_path / "one", 8)
    settings = settings_for(site.home)
    with receiving(settings):
        send(settings, pictures(8))

    told = site.take("inbox", labels=folder / "labels.csv")
    again = site.take("inbox", labels=folder / "labels.csv")

    assert (told["files"], told["imported"]) == (8, 8)
    assert told["version"] == Site(tmp_path / "plain").take(folder)["version"]
    assert (again["read_now"], again["version"]) == (0, told["version"])


def test_an_empty_inbox_says_what_to_do(site, tmp_path):
    """A technician who forgot to switch it on reads how."""
    labels = folder_of(tmp_path / "one", 2) / "labels.csv"

    with pytest.raises(NotReady, match="Set scp_allow"):
        site.take("inbox", labels=labels)


@pytest.mark.parametrize(
    "how", [{"title": "STRANGER"}, {"called": "SOMEBODY"}], ids=["calling", "called"]
)
def test_an_unknown_title_is_refused(site, how):
    """Neither a stranger nor a call for somebody else is let in."""
    settings = settings_for(site.home)

    with receiving(settings), calling(settings, pictures(1), **how) as link:
        assert link.is_rejected

    assert kept(site.home) == []


def test_a_known_title_from_another_address_is_refused(site):
    """A title can be written by anybody; it counts together with its address only."""
    settings = settings_for(site.home, scp_allow=(f"{TITLE}@192.0.2.7", "OTHER@127.0.0.1"))

    with receiving(settings), calling(settings, pictures(1)) as link:
        assert link.is_rejected

    assert kept(site.home) == []


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("10.0.0.5", "10.0.0.5"),
        ("::ffff:10.0.0.5", "10.0.0.5"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_an_address_is_known_in_every_spelling(written, plain):
    """A receiver that listens for IPv6 sees IPv4 callers in another spelling."""
    assert scp.plain_address(written) == plain


def test_at_the_floor_of_the_disk_a_sender_is_told_to_come_back(site):
    """0xA700, nothing is kept, and with room the same file is taken."""
    settings, room = settings_for(site.home), [False]

    with receiving(settings, room):
        assert send(settings, pictures(1)) == [0xA700]
        assert kept(site.home) == []
        room[0] = True
        assert send(settings, pictures(1)) == [0]

    assert not any((site.home / scp.ARRIVING).iterdir())


def test_the_floor_is_the_disks_own(site, monkeypatch):
    """The program asks the disk before each file."""
    left = SimpleNamespace(free=(3 << 30) - 1)
    monkeypatch.setattr(scp.shutil, "disk_usage", lambda _: left)
    settings, stop = settings_for(site.home, scp_disk_floor_gb=3), threading.Event()
    open_door, ready = scp.begin, threading.Event()
    monkeypatch.setattr(scp, "begin", lambda *words: (open_door(*words), ready.set())[0])
    receiver = threading.Thread(target=scp.receive, args=[settings, stop])
    receiver.start()
    try:
        assert ready.wait(30)
        assert send(settings, pictures(1)) == [0xA700]
        left.free = (3 << 30) + 1
        assert send(settings, pictures(1)) == [0]
    finally:
        stop.set()
        receiver.join()
        scp.tempfile.tempdir = None


def test_more_callers_than_the_receiver_serves_are_told_to_come_back(site):
    """Eight at a time; the ninth is turned away for now."""
    settings = settings_for(site.home)

    with receiving(settings), ExitStack() as stack:
        links = [stack.enter_context(calling(settings, pictures(1))) for _ in range(9)]
        assert [link.is_established for link in links] == [True] * 8 + [False]
        assert links[-1].acceptor.primitive.result == REJECTED_FOR_NOW


def test_a_class_that_no_import_reads_is_declined_before_it_is_sent(site):
    """The technician sees it at the PACS, not in a quarantine."""
    report = file_of(header(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11"), picture())
    settings = settings_for(site.home)

    with receiving(settings), calling(settings, [report, *pictures(1)]) as link:
        declined = {str(context.abstract_syntax) for context in link.rejected_contexts}

    assert declined == {"1.2.840.10008.5.1.4.1.1.88.11"}


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
def test_a_name_that_is_a_path_stays_a_name(site):
    """An instance number `../../evil` is bytes like any other: no path is built from it."""
    settings = settings_for(site.home)
    data = dcmread(BytesIO(pictures(1)[0]))
    data.SOPInstanceUID = "../../evil"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID

    with receiving(settings), calling(settings, pictures(1)) as link:
        link.send_c_store(data)

    assert all(path.parent.parent == site.home / "inbox" for path in kept(site.home))
    assert not list(site.home.parent.rglob("*evil*"))


def test_kill_9_while_receiving_leaves_only_whole_files(site):
    """What was answered is there, what was not is not; the next start clears the rest."""
    settings, sent = settings_for(site.home), pictures(40)
    with process(settings) as child, calling(settings, sent) as link:
        answered = 0
        for number, data in enumerate(sent):
            if number == 20:
                child.send_signal(signal.SIGKILL)
            status = link.send_c_store(dcmread(BytesIO(data))) if link.is_established else None
            answered += bool(status) and status.Status == 0
    (site.home / scp.ARRIVING).joinpath("torn.dcm").write_bytes(b"half")

    files = kept(site.home)

    assert 20 <= answered <= len(files) < 40
    assert all(path.stem == hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    with process(settings):
        assert not list((site.home / scp.ARRIVING).iterdir())


def test_an_object_beyond_the_limit_ends_its_association_and_leaves_nothing(site, monkeypatch):
    """The limit is the process's own: nobody can fill the disk with one object."""
    script = (
        "import sys; from pathlib import Path; from site_node.imaging import scp; "
        "scp.MOST_FILE = 50_000; sys.exit(scp.main(Path(sys.argv[1])))"
    )
    settings = settings_for(site.home)
    for name in ("scp_port", "scp_disk_floor_gb"):
        monkeypatch.setenv(f"CONSILIUM_SITE_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("CONSILIUM_SITE_SCP_ALLOW", f"{TITLE}@127.0.0.1")
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(site.home)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        wait_for_port(settings.scp_port, lambda: child.poll() is None)
        large = file_of(header(number=7), picture(7, side=400))
        with calling(settings, [large]) as link:
            status = link.send_c_store(dcmread(BytesIO(large)))
            assert not status or status.Status != 0
        assert send(settings, pictures(1)) == [0]
        assert len(kept(site.home)) == 1
    finally:
        said = end(child)
    assert b"Traceback" not in said


def test_the_receiver_ends_when_the_site_is_gone(site):
    """The pipe to the site ends, however the site ended."""
    settings = settings_for(site.home)

    with process(settings) as child:
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(timeout=30) == 0


def test_a_port_that_is_taken_is_named(site):
    """One sentence with the way out."""
    with scp.socket.create_server(("127.0.0.1", 0)) as taken:
        settings = settings_for(site.home, scp_port=taken.getsockname()[1])
        with pytest.raises(NotReady, match="Choose another scp_port"), receiving(settings):
            pass


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority and a certificate for loopback."""
    folder = tmp_path_factory.mktemp("tls")
    make_authority(folder / "tls", "site.example", "127.0.0.1", datetime.now(UTC))
    return folder / "tls"


def test_with_a_certificate_images_come_by_tls_and_no_other_way(site, tls):
    """PS3.15 Annex B: a sender without TLS gets nothing."""
    files = {"scp_certificate": tls / "server.pem", "scp_key": tls / "server.key"}
    settings = settings_for(site.home, **files)
    trust = ssl.create_default_context(cafile=tls / "ca.pem")

    with receiving(settings):
        assert send(settings, pictures(2), tls=trust) == [0, 0]
        with calling(settings, pictures(1)) as plain:
            assert not plain.is_established

    assert len(kept(site.home)) == 2


def test_a_caller_who_stays_silent_does_not_close_the_door(site, tls):
    """A connection without a word, or a TLS greeting that never comes, holds up nobody else."""
    files = {"scp_certificate": tls / "server.pem", "scp_key": tls / "server.key"}
    trust = ssl.create_default_context(cafile=tls / "ca.pem")
    settings = settings_for(site.home, **files)

    with receiving(settings), scp.socket.socket() as silent:
        silent.connect(("127.0.0.1", settings.scp_port))
        assert send(settings, pictures(1), tls=trust) == [0]


def test_without_a_certificate_of_its_own_a_sender_is_turned_away_where_one_is_asked(site, tls):
    """`scp_client_ca` asks every sender for a certificate."""
    files = {"scp_certificate": tls / "server.pem", "scp_key": tls / "server.key"}
    settings = settings_for(site.home, scp_client_ca=tls / "ca.pem", **files)
    trust = ssl.create_default_context(cafile=tls / "ca.pem")

    with receiving(settings), calling(settings, pictures(1), tls=trust) as link:
        assert not link.is_established


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"scp_bind": "0.0.0.0"}, "needs TLS"),  # noqa: S104 - refused
        ({"scp_bind": "10.0.0.1"}, "needs TLS"),
        ({"scp_allow": ("SCANNER",)}, "is not AETITLE@address"),
        ({"scp_allow": ("SCANNER@pacs.example",)}, "is not AETITLE@address"),
        ({"scp_certificate": "cert.pem"}, "belong together"),
        ({"scp_client_ca": "ca.pem"}, "needs TLS"),
        ({"scp_bind": "everywhere"}, "must be an IP address"),
        ({"scp_aet": "SEVENTEEN-LETTERS"}, "should match pattern"),
        ({"pacs_url": "http://pacs.example/dicom-web"}, "https"),
        ({"pacs_url": "ftp://pacs.example", "pacs_plain_lan": True}, "https"),
    ],
)
def test_a_dangerous_setting_is_refused_at_the_start(tmp_path, words, why):
    """Nothing beyond this machine without TLS, unless somebody says so in as many words."""
    with pytest.raises(ValidationError, match=why):
        Settings(home=tmp_path, **words)


def test_the_plain_network_must_be_wanted_in_as_many_words(tmp_path):
    """The two switches say what they risk, and then it is the hospital's decision."""
    made = Settings(
        home=tmp_path,
        scp_bind="10.0.0.1",
        scp_plain_lan=True,
        pacs_url="http://pacs.example/dicom-web",
        pacs_plain_lan=True,
    )

    assert (made.scp_plain_lan, made.pacs_plain_lan) == (True, True)


def test_nothing_is_received_unless_a_sender_is_named(tmp_path):
    """An empty list starts no process and opens no port."""
    receiver = Receiver(Settings(home=tmp_path, scp_port=free_port()))

    receiver.tend(needed=True)

    assert not receiver.running()
    receiver.stop()


def test_a_receiver_that_died_is_started_again_but_not_at_once(tmp_path, monkeypatch):
    """A port that stays taken must not become a storm of processes."""
    settings, now = settings_for(tmp_path), [0.0]
    monkeypatch.setenv("CONSILIUM_SITE_SCP_ALLOW", f"{TITLE}@127.0.0.1")
    monkeypatch.setenv("CONSILIUM_SITE_SCP_PORT", str(settings.scp_port))
    receiver = Receiver(settings, clock=lambda: now[0])
    receiver.tend(needed=True)
    first = receiver._process
    assert first is not None

    first.kill()
    first.wait()
    receiver.tend(needed=True)
    assert not receiver.running()
    now[0] = 11.0
    receiver.tend(needed=True)

    assert receiver.running()
    receiver.stop()
    assert not receiver.running()
