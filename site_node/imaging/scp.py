"""The receiver: a process of its own that takes images by C-STORE and keeps their bytes.

It parses no image: the bytes go to disk as they come, and only a whole, synced file is answered
for. What a sender may send is agreed before it sends: the classes and encodings that the import
reads, so that a technician sees a wrong one at the PACS and not in a quarantine here.

Source: DICOM PS3.4 Annex B (storage), PS3.8 (association), PS3.15 Annex B (TLS);
design/imaging.md §3.
"""

from __future__ import annotations

import ipaddress
import logging
import resource
import secrets
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from compliance.errors import NotReady
from site_node.imaging.child import MOST_FILE
from site_node.imaging.decode import DECODERS, NATIVE
from site_node.imaging.facts import RECEIVED
from site_node.imaging.inbox import Inbox
from site_node.imaging.keys import SiteKeys, open_keys
from site_node.settings import Settings, load_settings

STORED, OUT_OF_RESOURCES = 0x0000, 0xA700
MOST_ASSOCIATIONS = 8
PDU_BYTES = 128 << 10
TALK_SECONDS, NETWORK_SECONDS = 30, 60
REJECTED_FOR_GOOD, BY_USER, CALLER_UNKNOWN = 1, 1, 3
ARRIVING = "arriving"
SYNTAXES = [*NATIVE, *DECODERS]


class Taking:
    """What is done with each object that arrives.

    Args:
        inbox: where it is kept.
        keys: for the stand-in of its instance number.
        has_room: whether the disk may take more.
    """

    def __init__(self, inbox: Inbox, keys: SiteKeys, has_room: Callable[[], bool]) -> None:
        self._inbox, self._keys, self._has_room = inbox, keys, has_room

    def __call__(self, event: Any) -> int:
        """Keep a whole object; the status that its sender is told."""
        path, uid = event.dataset_path, str(event.request.AffectedSOPInstanceUID or "")
        try:
            if not self._has_room():
                return OUT_OF_RESOURCES
            self._inbox.take(path, self._keys.match("instance", uid))
        except OSError:
            return OUT_OF_RESOURCES
        finally:
            Path(path).unlink(missing_ok=True)
        return STORED


class Door(ThreadedAssociationServer):
    """Takes connections; each is greeted by TLS in a thread of its own.

    The library greets in the thread that accepts: one caller who stays silent would close the door
    for all others.
    """

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection, as it comes."""
        assert self.socket is not None  # noqa: S101 - a door that serves is open
        return self.socket.accept()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Greet, then serve."""
        if self.ssl_context is not None:
            try:
                request.settimeout(TALK_SECONDS)
                request = self.ssl_context.wrap_socket(request, server_side=True)
                request.settimeout(None)
            except OSError:
                self.shutdown_request(request)
                return
        super().process_request_thread(request, client_address)


def begin(settings: Settings, taking: Taking) -> Any:
    """Open the port and receive in threads; the answer's `shutdown()` ends it.

    Raises:
        NotReady: the port is taken, or certificate and key cannot be used.
    """
    _config.STORE_RECV_CHUNKED_DATASET = True
    entity = AE(ae_title=settings.scp_aet)
    entity.require_called_aet = True
    entity.maximum_associations = MOST_ASSOCIATIONS
    entity.maximum_pdu_size = PDU_BYTES
    entity.acse_timeout = entity.dimse_timeout = TALK_SECONDS
    entity.network_timeout = NETWORK_SECONDS
    entity.add_supported_context(Verification)
    for kind in RECEIVED:
        entity.add_supported_context(kind, SYNTAXES)
    pairs = [pair.split("@", 1) for pair in settings.scp_allow]
    allowed = {(title, plain_address(address)) for title, address in pairs}
    try:
        server = entity.make_server(
            (settings.scp_bind, settings.scp_port),
            ssl_context=tls_of(settings),
            evt_handlers=[
                (evt.EVT_CONN_OPEN, _no_delay),
                (evt.EVT_REQUESTED, _turn_away_strangers, [allowed]),
                (evt.EVT_C_STORE, taking),
            ],
            server_class=Door,
        )
    except OSError as error:
        raise NotReady(
            f"images cannot be received on {settings.scp_bind}:{settings.scp_port} "
            f"({error.strerror or error}).",
            "Choose another scp_port or scp_bind, or end the program that uses it.",
        ) from error
    entity._servers.append(server)  # where its shutdown looks for it
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def tls_of(settings: Settings) -> ssl.SSLContext | None:
    """How the connection is protected; None without a certificate.

    Raises:
        NotReady: a file is missing, or key and certificate do not belong together.
    """
    if settings.scp_certificate is None or settings.scp_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.scp_certificate, settings.scp_key)
        if settings.scp_client_ca:
            context.load_verify_locations(settings.scp_client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise NotReady(
            f"the receiver's certificate cannot be used ({error}).",
            "Check scp_certificate, scp_key and scp_client_ca.",
        ) from error
    return context


def _no_delay(event: Any) -> None:
    """Answer at once: a request and its answer are small, and Nagle's wait costs 40 ms each."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def plain_address(text: str) -> str:
    """One spelling per address: IPv6 in short, and IPv4 as itself when it comes within IPv6."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address)


def _turn_away_strangers(event: Any, allowed: set[tuple[str, str]]) -> None:
    """Reject whoever is not on the list with this title at this address."""
    peer = event.assoc.requestor
    caller = str(peer.primitive.calling_ae_title).strip(), plain_address(peer.address)
    if caller not in allowed:
        event.assoc.acse.send_reject(REJECTED_FOR_GOOD, BY_USER, CALLER_UNKNOWN)
        event.assoc.kill()


def receive(settings: Settings, stop: threading.Event) -> None:
    """Receive until `stop` is set."""
    home = settings.home
    inbox, work = Inbox(home), home / ARRIVING
    inbox.ready(work)
    tempfile.tempdir = str(work)
    keys = open_keys(home, secrets.token_bytes)

    def has_room() -> bool:
        return shutil.disk_usage(home).free > settings.scp_disk_floor_gb << 30

    server = begin(settings, Taking(inbox, keys, has_room))
    stop.wait()
    server.shutdown()


def main(home: Path) -> int:
    """Run as a child of `site serve` until it asks, or is gone."""
    logging.disable(logging.CRITICAL)  # pynetdicom's lines hold values from headers
    threading.excepthook = lambda _: None  # and so would the last words of its threads
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_FILE, hard))
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_end_with_parent, args=[stop], daemon=True).start()
    try:
        receive(load_settings(home), stop)
    except NotReady as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _end_with_parent(stop: threading.Event) -> None:
    """The parent never writes: the pipe ends when it ends, however it ends."""
    sys.stdin.buffer.read()
    stop.set()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
