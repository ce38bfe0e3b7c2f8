"""A PACS for tests, by DICOMweb and by DICOM, on loopback; it may misbehave when it is told to."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

LEVELS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
TAGS = {"StudyInstanceUID": "0020000D", "SeriesInstanceUID": "0020000E",
        "SOPInstanceUID": "00080018", "SOPClassUID": "00080016"}  # fmt: skip


class Shelf:
    """What a PACS holds, by study, series and instance."""

    def __init__(self, files: list[bytes]) -> None:
        self.files = files
        self.headers = [dcmread(BytesIO(data)) for data in files]

    def matching(self, **keys: str) -> list[int]:
        """Numbers of the files whose header has these values."""
        return [
            n for n, header in enumerate(self.headers)
            if all(str(header.get(key, "")) == value for key, value in keys.items())
        ]  # fmt: skip


class WebPacs:
    """Answers QIDO-RS and WADO-RS.

    Args:
        shelf: what it holds.
        disturb: may answer in place of the PACS; gets path and handler, says whether it did.
    """

    def __init__(
        self, shelf: Shelf, disturb: Callable[[str, Any], bool] = lambda *_: False
    ) -> None:
        self.shelf, self._disturb = shelf, disturb
        self.asked: list[tuple[str, dict[str, str]]] = []

    def fetched(self) -> int:
        """How many objects were asked for."""
        return sum(path.split("/")[-2] == "instances" for path, _ in self.asked)

    @contextmanager
    def open(self, tls: ssl.SSLContext | None = None) -> Iterator[str]:
        """Serve; the address."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                """Answer."""
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            scheme = "https" if tls else "http"
            yield f"{scheme}://127.0.0.1:{server.server_address[1]}/dicom-web"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def answer(self, handler: Any) -> None:
        """One answer."""
        split = urlsplit(handler.path)
        path = split.path.removeprefix("/dicom-web")
        words = {key: values[0] for key, values in parse_qs(split.query).items()}
        self.asked.append((path, words))
        if self._disturb(path, handler):
            return
        parts = path.strip("/").split("/")
        named = dict(zip(LEVELS, parts[1::2], strict=False))
        numbers = self.shelf.matching(**named)
        if len(named) == len(LEVELS):
            self._object(handler, numbers)
            return
        level = len(parts) // 2
        wanted = {key: words[key] for key in ("PatientID", "Modality") if key in words}
        if level == 0 and "ModalitiesInStudy" in words:
            wanted["Modality"] = words["ModalitiesInStudy"]
        self._rows(handler, self.shelf.matching(**named, **wanted), LEVELS[level], words)

    def _rows(self, handler: Any, numbers: list[int], unique: str, words: dict[str, str]) -> None:
        found = {str(self.shelf.headers[n].get(unique)): n for n in numbers}
        start, limit = int(words["offset"]), int(words["limit"])
        rows = [
            {TAGS[unique]: {"vr": "UI", "Value": [uid]},
             TAGS["SOPClassUID"]: {"vr": "UI", "Value": [str(self.shelf.headers[n].SOPClassUID)]},
             "00081190": {"vr": "UR", "Value": ["http://192.0.2.1/elsewhere"]}}
            for uid, n in list(found.items())[start : start + limit]
        ]  # fmt: skip
        reply(handler, 200, json.dumps(rows).encode(), "application/dicom+json")

    def _object(self, handler: Any, numbers: list[int]) -> None:
        if not numbers:
            reply(handler, 404, b"", "text/plain")
            return
        body = multipart(self.shelf.files[numbers[0]])
        reply(handler, 200, body, 'multipart/related; type="application/dicom"; boundary="b-1"')


def multipart(data: bytes, boundary: bytes = b"b-1") -> bytes:
    """One object as WADO-RS hands it out."""
    head = b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n"
    return head + data + b"\r\n--" + boundary + b"--\r\n"


def reply(handler: Any, status: int, body: bytes, content_type: str, **more: str) -> None:
    """Send an answer."""
    handler.send_response(status)
    for name, value in {
        "Content-Type": content_type,
        "Content-Length": str(len(body)),
        **{key.replace("_", "-"): value for key, value in more.items()},
    }.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


class DicomPacs:
    """Answers C-FIND, C-GET and C-MOVE.

    Args:
        shelf: what it holds.
        destinations: port of each AE title that C-MOVE may send to.
    """

    TITLE = "PACS"

    def __init__(self, shelf: Shelf, destinations: dict[str, int] | None = None) -> None:
        self.shelf, self._destinations = shelf, destinations or {}
        self.asked: list[Dataset] = []
        self.callers = ["CONSILIUM"]

    @contextmanager
    def open(self, tls: ssl.SSLContext | None = None) -> Iterator[int]:
        """Serve; the port."""
        entity = AE(ae_title=self.TITLE)
        entity.require_called_aet, entity.require_calling_aet = True, self.callers
        for model in (
            StudyRootQueryRetrieveInformationModelFind,
            StudyRootQueryRetrieveInformationModelGet,
            StudyRootQueryRetrieveInformationModelMove,
        ):
            entity.add_supported_context(model)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax, scu_role=True, scp_role=True)
            entity.add_requested_context(context.abstract_syntax) if len(
                entity.requested_contexts
            ) < 128 else None  # fmt: skip
        server = entity.start_server(
            ("127.0.0.1", 0),
            block=False,
            ssl_context=tls,
            evt_handlers=[
                (evt.EVT_C_FIND, self._find),
                (evt.EVT_C_GET, self._get),
                (evt.EVT_C_MOVE, self._move),
            ],
        )
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()

    def _numbers(self, asked: Dataset) -> list[int]:
        self.asked.append(asked)
        keys = {key: str(asked.get(key) or "") for key in (*LEVELS[:2], "PatientID", "Modality")}
        numbers = self.shelf.matching(**{key: value for key, value in keys.items() if value})
        one = asked.get("SOPInstanceUID")
        listed = [] if not one else [str(one)] if isinstance(one, str) else [str(u) for u in one]
        return [n for n in numbers if not listed or self.shelf.headers[n].SOPInstanceUID in listed]

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset]]:
        level = {"STUDY": 0, "SERIES": 1, "IMAGE": 2}[event.identifier.QueryRetrieveLevel]
        rows: dict[str, Dataset] = {}
        for n in self._numbers(event.identifier):
            row = Dataset()
            row.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
            for key in (*LEVELS[: level + 1], "SOPClassUID"):
                setattr(row, key, self.shelf.headers[n].get(key))
            rows.setdefault(str(row.get(LEVELS[level])), row)
        for row in rows.values():
            yield 0xFF00, row

    def _get(self, event: Any) -> Iterator[Any]:
        numbers = self._numbers(event.identifier)
        yield len(numbers)
        for n in numbers:
            yield 0xFF00, self.shelf.headers[n]

    def _move(self, event: Any) -> Iterator[Any]:
        port = self._destinations.get(event.move_destination)
        if port is None:
            yield None, None
            return
        yield "127.0.0.1", port
        yield from self._get(event)
