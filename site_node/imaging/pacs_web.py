"""The hospital's PACS by DICOMweb: asked at the one address of the settings, and nowhere else.

No redirect is followed, no address in an answer is used, no proxy is asked, and what the PACS
names goes into a path only when it is a UID. Objects go to disk as they come; no one parses them.

Source: DICOM PS3.18 §10.4 (WADO-RS), §10.5 (STOW-RS), §10.6 (QIDO-RS).
"""

from __future__ import annotations

import json
import os
import ssl
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from compliance.errors import Malformed, NotReady, Unreachable
from site_node.imaging.child import MOST_FILE
from site_node.imaging.multipart import TooLarge, boundary_of, first_part, whole
from site_node.imaging.query import Instance, Query
from site_node.settings import Settings

PAGE = 100
MOST_PAGES = 10_000
MOST_ANSWER = 64 << 20
PARALLEL = 4
TRIES = 4
AGAIN = frozenset((408, 429, 500, 502, 503, 504))
WHOLE = 'multipart/related; type="application/dicom"; transfer-syntax=*'
BOUNDARY = "consilium-result"
STOW = {
    "Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}',
    "Accept": "application/dicom+json",
}
STUDY, SERIES, INSTANCE, KIND = "0020000D", "0020000E", "00080018", "00080016"
STAYS = "*?,:@/"
NOBODYS = "2.25.1"
"""A UID in the form of PS3.5 B.2 that no study has."""
NOT_SENT, TOO_LARGE = "not_sent", "too_large"


class WebPacs:
    """Asks and fetches by DICOMweb.

    Args:
        settings: address, user, password file and certificates.
        work: folder in which an object is written before it is kept.
        wait: sleeps that many seconds.
        most: bytes an object may have.
    """

    def __init__(
        self,
        settings: Settings,
        work: Path,
        wait: Callable[[float], None] = time.sleep,
        most: int = MOST_FILE,
    ) -> None:
        self._base = str(settings.pacs_url).rstrip("/")
        self._http = httpx.Client(
            auth=credentials_of(settings),
            verify=_trust(settings),
            timeout=httpx.Timeout(60.0, connect=10.0),
            trust_env=False,
            follow_redirects=False,
            headers={"Accept-Encoding": "identity"},
        )
        self._work, self._wait, self._most = work, wait, most
        self._numbers, self._lock = count(), threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def echo(self) -> None:
        """Ask for a study that nobody has: whether it hears us, and about no patient.

        Raises:
            NotReady: it refuses us, or does not understand.
            Unreachable: it does not answer.
        """
        self._rows("/studies", {"StudyInstanceUID": NOBODYS, "limit": "1", "offset": "0"}, 1)

    def instances(self, query: Query) -> Iterator[Instance]:
        """Every object that the PACS holds for a query.

        Raises:
            NotReady: it refuses us, or does not understand.
            Unreachable: it does not answer.
        """
        for study in self._pages("/studies", query.study, STUDY):
            root = Instance(_first(study, STUDY), "0", "0", "")
            if not root.named_well:
                continue
            for series in self._pages(f"/studies/{root.study}/series", query.series, SERIES):
                below = Instance(root.study, _first(series, SERIES), "0", "")
                if below.named_well:
                    yield from self._of_series(below)

    def _of_series(self, below: Instance) -> Iterator[Instance]:
        path = f"/studies/{below.study}/series/{below.series}/instances"
        for row in self._pages(path, {}, INSTANCE):
            yield Instance(below.study, below.series, _first(row, INSTANCE), _first(row, KIND))

    def store(self, paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        """Hand over our own results (STOW-RS), one a request; each with its status, if it failed.

        Raises:
            NotReady: it refuses us.
            Unreachable: it does not answer.
        """
        for path in paths:
            try:
                answer = self._http.post(
                    self._base + "/studies", content=_enclosed(path.read_bytes()), headers=STOW
                )
            except httpx.HTTPError as error:
                raise Unreachable(
                    "the PACS does not answer.", "Check pacs_url, pacs_ca_file and the network."
                ) from error
            if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
                raise _refused(answer.status_code)
            yield path, "" if answer.status_code == httpx.codes.OK else str(answer.status_code)

    def fetch(
        self, wanted: list[Instance], _whole: set[str], keep: Callable[[Path, str], None]
    ) -> Iterator[tuple[Instance, str]]:
        """Fetch objects, four at a time; each with an empty word or why it did not come.

        Args:
            wanted: what to fetch.
            keep: takes a whole file and its instance number.
        """
        pool = ThreadPoolExecutor(PARALLEL)
        try:
            yield from pool.map(lambda one: (one, self._fetch_one(one, keep)), wanted)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _fetch_one(self, one: Instance, keep: Callable[[Path, str], None]) -> str:
        with self._lock:
            path = self._work / f"fetched-{next(self._numbers)}"
        where = f"/studies/{one.study}/series/{one.series}/instances/{one.instance}"
        try:
            for _ in range(TRIES):
                try:
                    if self._to_disk(where, path):
                        keep(path, one.instance)
                        return ""
                    return NOT_SENT
                except (Malformed, httpx.HTTPError):
                    continue  # it broke off in the middle: once more from the beginning
        except TooLarge:
            return TOO_LARGE
        finally:
            path.unlink(missing_ok=True)
        return NOT_SENT

    def _to_disk(self, where: str, path: Path) -> bool:
        """Write one object to disk; False when the PACS does not hand it out."""
        with self._asked(where, {}, WHOLE) as answer:
            if answer.status_code != httpx.codes.OK:
                return False
            content_type = answer.headers.get("Content-Type", "")
            path.unlink(missing_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as out:
                if content_type.startswith("application/dicom"):
                    whole(answer.iter_raw(), out, self._most)
                else:
                    first_part(answer.iter_raw(), boundary_of(content_type), out, self._most)
        return True

    def _pages(self, path: str, asked: dict[str, str], key: str) -> Iterator[dict[str, Any]]:
        """Every row of an answer that comes in pages, each once."""
        seen: set[str] = set()
        for page in range(MOST_PAGES):
            words = asked | {"limit": str(PAGE), "offset": str(page * PAGE)}
            rows = self._rows(path, words)
            fresh = [row for row in rows if _first(row, key) not in seen]
            seen.update(_first(row, key) for row in fresh)
            yield from fresh
            if len(rows) < PAGE or not fresh:
                return

    def _rows(self, path: str, words: dict[str, str], tries: int = TRIES) -> list[dict[str, Any]]:
        with self._asked(path, words, "application/dicom+json", tries) as answer:
            if answer.status_code == httpx.codes.NO_CONTENT:
                return []
            if answer.status_code != httpx.codes.OK:
                raise _refused(answer.status_code)
            data = bytearray()
            for chunk in answer.iter_raw():
                data += chunk
                if len(data) > MOST_ANSWER:
                    raise Malformed("answer of the PACS", f"at most {MOST_ANSWER >> 20} MB a page")
        try:
            rows = json.loads(data)
        except (ValueError, RecursionError):
            rows = None
        if not isinstance(rows, list):
            raise Malformed("answer of the PACS", "a list in DICOM JSON (PS3.18 F.2)")
        return [row for row in rows if isinstance(row, dict)]

    @contextmanager
    def _asked(
        self, path: str, words: dict[str, str], accept: str, tries: int = TRIES
    ) -> Iterator[httpx.Response]:
        """One answer; what may pass by itself is asked for again, later and later."""
        for attempt in range(tries):
            last = attempt == tries - 1
            address = self._base + path + _asking(words)
            request = self._http.build_request("GET", address, headers={"Accept": accept})
            try:
                answer = self._http.send(request, stream=True)
            except httpx.HTTPError as error:
                if last:
                    raise Unreachable(
                        "the PACS does not answer.", "Check pacs_url, pacs_ca_file and the network."
                    ) from error
            else:
                if answer.status_code not in AGAIN or last:
                    try:
                        yield answer
                    finally:
                        answer.close()
                    return
                answer.close()
            self._wait(2.0**attempt)


def credentials_of(settings: Settings) -> tuple[str, str] | None:
    """User and password; None when the PACS asks for none.

    Raises:
        NotReady: the password's file is missing, empty, or others may read it.
    """
    path = settings.pacs_password_file
    if settings.pacs_user is None or path is None:
        return None
    try:
        with path.open("rb") as file:
            open_to_others = os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO)
            password = file.read(4096).decode("utf-8", "replace").strip()
    except OSError as error:
        raise NotReady(
            f"the password file {path} cannot be read ({error.strerror}).",
            "Correct pacs_password_file.",
        ) from error
    if open_to_others or not password:
        raise NotReady(
            f"the password file {path} is empty or others may read it.",
            f"Write the password into it, then run `chmod 600 {path}`.",
        )
    return settings.pacs_user, password


def _trust(settings: Settings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.pacs_ca_file)
    except OSError as error:
        raise NotReady(
            f"the certificates in {settings.pacs_ca_file} cannot be read.", "Correct pacs_ca_file."
        ) from error


def _asking(words: dict[str, str]) -> str:
    """The query of an address; wildcards stay as they are: Orthanc 1.10 reads no `%2A`."""
    pairs = [f"{key}={quote(value, safe=STAYS)}" for key, value in words.items()]
    return "?" + "&".join(pairs) if pairs else ""


def _enclosed(data: bytes) -> bytes:
    """One object as the only part of a request (PS3.18 §10.5)."""
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return head + data + f"\r\n--{BOUNDARY}--\r\n".encode()


def _first(row: dict[str, Any], tag: str) -> str:
    """The first value of an element in DICOM JSON; empty when there is none."""
    found = row.get(tag)
    values = found.get("Value") if isinstance(found, dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""


def _refused(status: int) -> NotReady:
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return NotReady(
            "the PACS does not accept this site.", "Check pacs_user and pacs_password_file."
        )
    return NotReady(
        f"the PACS answers with status {status}.",
        "Check pacs_url; ask the PACS's administrator what this query needs.",
    )
