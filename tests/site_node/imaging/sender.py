"""A scanner for tests: sends files by C-STORE over a real association."""

from __future__ import annotations

import gc
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.association import Association

from site_node.settings import Settings

TITLE = "SCANNER"


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def settings_for(home: Path, **changes: Any) -> Settings:
    """A site that lets the scanner in, on a free port, with a floor that any disk has."""
    words: dict[str, Any] = {
        "scp_allow": (f"{TITLE}@127.0.0.1",),
        "scp_port": free_port(),
        "scp_disk_floor_gb": 0,
    }
    return Settings(home=home, **(words | changes))


@contextmanager
def calling(settings: Settings, files: list[bytes], **how: Any) -> Iterator[Any]:
    """An association for sending these files.

    Args:
        settings: of the site that is called.
        files: their classes and encodings are proposed.
        how: `title` of the caller, `called` title, `tls` context.
    """
    caller = AE(ae_title=how.get("title", TITLE))
    caller.connection_timeout = caller.acse_timeout = 20
    caller.dimse_timeout = 10
    for data in files:
        meta = dcmread(BytesIO(data), specific_tags=["SOPClassUID"])
        caller.add_requested_context(meta.SOPClassUID, meta.file_meta.TransferSyntaxUID)
    tls: ssl.SSLContext | None = how.get("tls")
    link = caller.associate(
        "127.0.0.1",
        settings.scp_port,
        ae_title=how.get("called", settings.scp_aet),
        tls_args=(tls, "127.0.0.1") if tls else None,
    )
    try:
        yield link
    finally:
        if link.is_established:
            link.release()


def send(settings: Settings, files: list[bytes], **how: Any) -> list[int]:
    """Send files over one association; the status of each."""
    with calling(settings, files, **how) as link:
        assert link.is_established, "the association was not accepted"
        return [int(link.send_c_store(dcmread(BytesIO(data))).Status) for data in files]


def collect_what_pynetdicom_left() -> None:
    """Wait for its threads to end and collect the sockets that it leaves to the collector."""
    ends = time.monotonic() + 5
    while time.monotonic() < ends and any(_of_an_association()):
        threading.Event().wait(0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def _of_an_association() -> Iterator[threading.Thread]:
    yield from (thread for thread in threading.enumerate() if isinstance(thread, Association))
