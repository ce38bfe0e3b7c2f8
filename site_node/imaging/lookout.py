"""Whether images can come in: the receiver's port and files, and the PACS that would be asked."""

from __future__ import annotations

import fcntl
import shutil
import socket
from pathlib import Path

from compliance.errors import NotReady
from site_node.imaging.pacs_client import open_pacs
from site_node.imaging.scp import tls_of
from site_node.settings import Settings

LOCK = ("run", "serve.lock")
PATIENCE_SECONDS = 3.0


def look_at_receiver(settings: Settings) -> str:
    """Say how the receiver is: files, room, and a port that is ours or free.

    Raises:
        NotReady: a PACS that sends now would be turned away.
    """
    tls = "with TLS" if tls_of(settings) else "without TLS"
    where, floor = f"{settings.scp_bind}:{settings.scp_port}", settings.scp_disk_floor_gb
    if shutil.disk_usage(settings.home).free <= floor << 30:
        raise NotReady(
            f"less than {floor} GB are free: senders are told to come back later.",
            "Free space, or lower scp_disk_floor_gb.",
        )
    if not _served(settings.home):
        _may_listen(settings)
        return f"{where} {tls} is free; `consilium site serve` opens it."
    if not _answers(settings):
        raise NotReady(
            f"`consilium site serve` runs, and nothing answers on {where}.",
            "Look ten seconds later; then see what it printed, and restart it.",
        )
    return f"Images are received on {where} {tls} as {settings.scp_aet}."


def _served(home: Path) -> bool:
    """Whether `site serve` holds this home."""
    try:
        with home.joinpath(*LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _family(settings: Settings) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in settings.scp_bind else socket.AF_INET


def _answers(settings: Settings) -> bool:
    with socket.socket(_family(settings)) as probe:
        probe.settimeout(PATIENCE_SECONDS)
        return probe.connect_ex((settings.scp_bind, settings.scp_port)) == 0


def _may_listen(settings: Settings) -> None:
    with socket.socket(_family(settings)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.scp_bind, settings.scp_port))
        except OSError as error:
            raise NotReady(
                f"images cannot be received on {settings.scp_bind}:{settings.scp_port} "
                f"({error.strerror}).",
                "Choose another scp_port or scp_bind, or end the program that uses it.",
            ) from error


def ask_pacs(settings: Settings) -> str:
    """Ask the PACS of the settings whether it hears us; no patient is named either way.

    Raises:
        NotReady: it does not let us in, or a file or password is missing.
        Unreachable: it does not answer.
    """
    pacs = open_pacs(settings, settings.home)
    try:
        pacs.echo()
    finally:
        pacs.close()
    return "The PACS answers."
