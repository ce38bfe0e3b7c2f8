"""The hospital's PACS by DICOM itself: C-FIND to ask, C-GET or C-MOVE to fetch.

By C-GET the objects come back on our own association, by C-MOVE to the receiver of `site serve`.
Without TLS nothing beyond this machine is asked, unless `pacs_plain_lan` says so.

Source: DICOM PS3.4 Annex C (study root query and retrieve).
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pynetdicom import AE, _config, build_context, build_role, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from compliance.errors import NotReady, Unreachable
from site_node.imaging.facts import RECEIVED
from site_node.imaging.query import Instance, Query, is_uid
from site_node.imaging.scp import NETWORK_SECONDS, OUT_OF_RESOURCES, STORED, SYNTAXES, TALK_SECONDS
from site_node.settings import Settings

FIND, GET, MOVE = (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
PENDING = (0xFF00, 0xFF01)
MOST_ROWS = 1_000_000
AT_ONCE = 100
NOT_SENT = "not_sent"
COERCED = (0xB000, 0xB006, 0xB007)
"""Warnings after which an object is kept nevertheless (PS3.4 B.2.3)."""

MOST_CONTEXTS = 128
HERE = ("127.0.0.1", "::1", "localhost")


class Taking:
    """What is done with each object that comes back by C-GET.

    Args:
        keep: takes a whole file and its instance number.
    """

    def __init__(self, keep: Callable[[Path, str], None]) -> None:
        self._keep = keep
        self.came: set[str] = set()
        self.failed: list[Exception] = []

    def __call__(self, event: Any) -> int:
        """Keep a whole object; the status that the PACS is told."""
        event.request._dataset_file.close()
        path, uid = Path(event.dataset_path), str(event.request.AffectedSOPInstanceUID)
        try:
            self._keep(path, uid)
        except (OSError, NotReady) as error:
            self.failed.append(error)
            return OUT_OF_RESOURCES
        finally:
            path.unlink(missing_ok=True)
        self.came.add(uid)
        return STORED


class DicomPacs:
    """Asks and fetches by DICOM.

    Args:
        settings: address and titles of the PACS and of this site.
        work: folder in which an object is written before it is kept.
    """

    def __init__(self, settings: Settings, work: Path) -> None:
        self._settings, self._work = settings, work

    def close(self) -> None:
        """Nothing stays open between two questions."""

    def echo(self) -> None:
        """Ask whether it hears us (C-ECHO).

        Raises:
            NotReady: it does not let this site in.
            Unreachable: it does not answer.
        """
        with self._association(Verification) as link:
            status = link.send_c_echo()
            if not status or status.Status != 0:
                raise _broken(status)

    def instances(self, query: Query) -> Iterator[Instance]:
        """Every object that the PACS holds for a query.

        Raises:
            NotReady: it does not accept this site, or the query.
            Unreachable: it does not answer.
        """
        with self._association(FIND) as link:
            for study in _find(link, "STUDY", query.study, "StudyInstanceUID"):
                known = {"StudyInstanceUID": _text(study, "StudyInstanceUID")}
                if not is_uid(known["StudyInstanceUID"]):
                    continue
                for series in _find(link, "SERIES", query.series | known, "SeriesInstanceUID"):
                    yield from _images(link, known["StudyInstanceUID"], series)

    def fetch(
        self, wanted: list[Instance], whole: set[str], keep: Callable[[Path, str], None]
    ) -> Iterator[tuple[Instance, str]]:
        """Fetch objects series by series; each with an empty word or why it did not come.

        By C-MOVE nothing is known here of what came: the receiver of this site knows.

        Args:
            wanted: what to fetch.
            whole: series of which everything is wanted: asked for by their own number.
            keep: takes a whole file and its instance number.
        """
        moving, taking = self._settings.pacs_retrieve == "move", Taking(keep)
        if not wanted:
            return
        kinds = {one.kind for one in wanted}
        with self._association(MOVE if moving else GET, taking, kinds) as link:
            for part, asked in _requests(wanted, whole):
                if moving:
                    _follow(link.send_c_move(asked, self._settings.scp_aet, MOVE))
                else:
                    _follow(link.send_c_get(asked, GET))
                if taking.failed:
                    raise taking.failed[0]
                for one in part:
                    yield one, "" if moving or one.instance in taking.came else NOT_SENT

    def store(self, paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        """Hand over our own results (C-STORE); each with an empty word or the status.

        Raises:
            NotReady: it does not let this site in.
            Unreachable: it does not answer.
        """
        kinds = {path: _kind(path) for path in paths}
        for kind in sorted(set(kinds.values())):
            with self._association(kind) as link:
                for path in (path for path in paths if kinds[path] == kind):
                    status = link.send_c_store(path)
                    if not status:
                        raise _broken(status)
                    taken = status.Status == STORED or status.Status in COERCED
                    yield path, "" if taken else f"0x{status.Status:04X}"

    @contextmanager
    def _association(
        self, model: str, taking: Taking | None = None, kinds: Collection[str] = ()
    ) -> Iterator[Any]:
        settings, entity = self._settings, AE(ae_title=self._settings.scp_aet)
        entity.acse_timeout = entity.connection_timeout = TALK_SECONDS
        entity.dimse_timeout = entity.network_timeout = NETWORK_SECONDS
        offered = contexts_for(kinds) if model == GET else []
        roles: list[Any] = [build_role(kind, scp_role=True) for kind in dict(offered)]
        contexts = [build_context(model), *(build_context(*one) for one in offered)]
        _config.STORE_RECV_CHUNKED_DATASET = True
        before, tempfile.tempdir = tempfile.tempdir, str(self._work)
        link = entity.associate(
            str(settings.pacs_host),
            settings.pacs_port,
            contexts=contexts,
            ae_title=str(settings.pacs_aet),
            ext_neg=roles or None,
            tls_args=_tls(settings),
            evt_handlers=[(evt.EVT_C_STORE, taking)] if taking else [],
        )
        try:
            if not link.is_established:
                raise _not_let_in(settings, rejected=link.is_rejected)
            yield link
        finally:
            if link.is_established:
                link.release()
            tempfile.tempdir = before


def _kind(path: Path) -> str:
    return str(read_file_meta_info(path).MediaStorageSOPClassUID)


def _requests(wanted: list[Instance], whole: set[str]) -> Iterator[tuple[list[Instance], Dataset]]:
    """What to ask for: a series by its number where all of it is wanted, else a hundred objects."""
    for (study, series), rows in groupby(wanted, lambda one: (one.study, one.series)):
        batch = list(rows)
        step = len(batch) if series in whole else AT_ONCE
        for start in range(0, len(batch), step):
            part, asked = batch[start : start + step], Dataset()
            asked.QueryRetrieveLevel = "SERIES" if series in whole else "IMAGE"
            asked.StudyInstanceUID, asked.SeriesInstanceUID = study, series
            if series not in whole:
                asked.SOPInstanceUID = [one.instance for one in part]
            yield part, asked


def contexts_for(kinds: Collection[str]) -> list[tuple[str, list[str]]]:
    """What to offer for objects of these classes: each encoding by itself, while that fits.

    Of several encodings in one offer the PACS picks one and must convert the rest, which it cannot
    always do; each by itself comes as it is stored. An association has room for 128 offers.
    """
    if all(kinds) and len(kinds) * len(SYNTAXES) < MOST_CONTEXTS:
        return [(kind, [syntax]) for kind in sorted(kinds) for syntax in SYNTAXES]
    return [(kind, SYNTAXES) for kind in RECEIVED]


def _find(link: Any, level: str, asked: dict[str, str], unique: str) -> Iterator[Dataset]:
    question = Dataset()
    question.QueryRetrieveLevel = level
    for key in (unique, *(["SOPClassUID"] if level == "IMAGE" else [])):
        setattr(question, key, "")
    for key, value in asked.items():
        setattr(question, key, value)
    rows: list[Dataset] = []
    for status, row in link.send_c_find(question, FIND):
        if status and status.Status in PENDING and row is not None and len(rows) < MOST_ROWS:
            rows.append(row)
        elif not status or status.Status != 0:
            raise _broken(status)
    yield from rows


def _images(link: Any, study: str, row: Dataset) -> Iterator[Instance]:
    series = _text(row, "SeriesInstanceUID")
    if not is_uid(series):
        return
    asked = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
    for image in _find(link, "IMAGE", asked, "SOPInstanceUID"):
        yield Instance(study, series, _text(image, "SOPInstanceUID"), _text(image, "SOPClassUID"))


def _follow(answers: Iterator[Any]) -> None:
    """Wait until the PACS has sent what it would; what is missing then is counted by its number."""
    for status, _ in answers:
        if not status:
            raise _broken(status)


def _tls(settings: Settings) -> tuple[ssl.SSLContext, str] | None:
    if settings.pacs_plain_lan or settings.pacs_host in HERE:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.pacs_ca_file)
        if settings.scp_certificate and settings.scp_key:
            context.load_cert_chain(settings.scp_certificate, settings.scp_key)
    except OSError as error:
        raise NotReady(
            "the certificates for the PACS cannot be used.",
            "Check pacs_ca_file, scp_certificate and scp_key.",
        ) from error
    return context, str(settings.pacs_host)


def _text(row: Dataset, name: str) -> str:
    return str(row.get(name) or "").strip()


def _not_let_in(settings: Settings, *, rejected: bool) -> NotReady | Unreachable:
    where = f"{settings.pacs_aet}@{settings.pacs_host}:{settings.pacs_port}"
    if rejected:
        return NotReady(
            f"the PACS {where} does not let {settings.scp_aet} in.",
            "Ask its administrator to enter this AE title and address, or correct pacs_aet.",
        )
    return Unreachable(
        f"the PACS {where} does not answer.", "Check pacs_host, pacs_port, TLS and the network."
    )


def _broken(status: Any) -> NotReady | Unreachable:
    if not status:
        return Unreachable("the PACS broke off.", "Run the same import again: it goes on.")
    return NotReady(
        f"the PACS answers with status 0x{status.Status:04X}.",
        "Ask its administrator whether this site may query and retrieve.",
    )
