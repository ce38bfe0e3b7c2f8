"""Results as DICOM: masks come back bit by bit, reports are valid, hostile headers are harmless."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from compliance.errors import Malformed, NotReady, Unreachable
from site_node.imaging.keys import SiteKeys
from site_node.imaging.recipe import Segment
from site_node.imaging.results.marks import NOT_CLINICAL, Mark
from site_node.imaging.results.mask import Drawn, write_mask
from site_node.imaging.results.report import NO_THRESHOLD, Said, write_report
from site_node.imaging.results.sending import address_of, send
from site_node.imaging.results.source import header_of, read_source
from site_node.imaging.synthetic_series import ct_files
from site_node.settings import Settings
from tests.needs import need, program
from tests.site_node.imaging.bodies import Hospital, drawn, write
from tests.site_node.imaging.files import SECRET, file_of, header, picture
from tests.site_node.imaging.files import Site as FlatSite
from tests.site_node.imaging.sender import collect_what_pynetdicom_left

KEYS = SiteKeys(SECRET)
LESION = Segment(name="lesion", code="SCT:52988006")
LUNG = Segment(name="lung", label="Lung")
MARK = Mark(
    model="sha256:" + "ab" * 32, title="Opacity", recipe="unet-small 1", version="0.1.0",
    limits="No number holds for others.", site="north", at=datetime(2026, 11, 22, 9, tzinfo=UTC),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _library_leaves_sockets() -> Iterator[None]:
    """Pynetdicom leaves sockets of broken associations to the collector."""
    yield
    collect_what_pynetdicom_left()


def headers(files: Sequence[bytes]) -> list[Dataset]:
    """What the parent makes of what the child tells."""
    return [header_of(read_source(data)) for data in files]


def errors(path: Path) -> list[str]:
    """What the validator calls an error."""
    done = subprocess.run(
        [str(program("dciodvfy")), "-new", str(path)], capture_output=True, check=False
    )
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    return [line for line in lines if line.startswith("Error")]


def report_of(**changes: Any) -> bytes:
    """A report about a radiograph whose header has these elements."""
    source = headers([file_of(header(**changes), picture())])[0]
    said = Said(None, {"opacity": 0.87654321}, {"opacity": 0.4}, ("opacity",))
    return write_report([source], [said], MARK, KEYS)


def test_masks_of_volumes_come_back_bit_by_bit(tmp_path: Path) -> None:
    """Written here, read by our own import: the same voxels, and valid by the standard."""
    need("dciodvfy")
    hospital = Hospital(tmp_path / "home", segments=True)
    body, series = drawn(1)
    files = ct_files(series, np.random.default_rng(2))
    made = write_mask(Drawn(headers(files), np.uint8(body.lesions)), [LESION], MARK, KEYS)
    write(tmp_path / "one", [*files, made])
    (tmp_path / "seg.dcm").write_bytes(made)

    hospital.take(tmp_path / "one", seg=True)

    assert np.array_equal(hospital.open().masks(np.array([0]))[0], body.lesions)
    assert body.lesions.any()
    assert not errors(tmp_path / "seg.dcm")


def test_masks_of_radiographs_come_back_bit_by_bit(tmp_path: Path) -> None:
    """Two classes on a picture without a place in space, found by reference."""
    need("dciodvfy")
    site = FlatSite(tmp_path / "home")
    site.recipe.write_text(
        '{"size": [8, 8], "segments": [{"name": "lesion", "code": "SCT:52988006"},'
        ' {"name": "lung", "label": "Lung"}]}'
    )
    mask = np.random.default_rng(3).integers(0, 3, (1, 8, 8)).astype(np.uint8)
    image = file_of(header(), picture())
    made = write_mask(Drawn(headers([image]), mask), [LESION, LUNG], MARK, KEYS)
    write(tmp_path / "one", [image, made])
    (tmp_path / "seg.dcm").write_bytes(made)

    site.take(tmp_path / "one", seg=True, labels=None)

    from site_node.imaging.curated import CuratedDataset

    assert np.array_equal(CuratedDataset.open(site.dataset).masks(np.array([0]))[0], mask[0])
    assert not errors(tmp_path / "seg.dcm")


def test_a_mask_says_model_source_and_limits() -> None:
    """And has the same bytes each time; one that found nothing is an object too."""
    source = headers([file_of(header(PatientName="Doe^Nobody"), picture())])
    mask = np.zeros((1, 8, 8), np.uint8)
    empty = dcmread(BytesIO(write_mask(Drawn(source, mask), [LESION], MARK, KEYS)))
    mask[0, 2, 3] = 1
    data = write_mask(Drawn(source, mask), [LESION], MARK, KEYS)
    made = dcmread(BytesIO(data))

    assert data == write_mask(Drawn(source, mask), [LESION], MARK, KEYS)
    assert made.SOPInstanceUID == empty.SOPInstanceUID
    assert made.DeviceSerialNumber == "ab" * 32
    assert made.ContentDescription == NOT_CLINICAL
    assert made.ContributingEquipmentSequence[0].ContributionDescription == NOT_CLINICAL
    assert str(made.PatientName) == "Doe^Nobody"
    assert (int(empty.pixel_array.sum()), int(made.pixel_array.sum())) == (0, 1)
    with pytest.raises(Malformed, match="shape"):
        write_mask(Drawn(source, mask[:, :7]), [LESION], MARK, KEYS)
    with pytest.raises(Malformed, match="more classes"):
        write_mask(Drawn(source, mask * 2), [LESION], MARK, KEYS)


def test_a_report_decides_by_its_threshold_and_never_without() -> None:
    """The same bytes each time; a score alone is a score alone."""
    source = headers([file_of(header(), picture())])[0]
    first = report_of()
    open_ended = write_report([source], [Said(None, {"opacity": 0.9}, {}, None)], MARK, KEYS)

    def words(data: bytes) -> str:
        return str(dcmread(BytesIO(data)))

    assert first == report_of()
    assert "Decision of the model" in words(first)
    assert "opacity 0.400000" in b"".join([first]).decode("utf-8", "replace")
    assert "Decision of the model" not in words(open_ended)
    assert NO_THRESHOLD.encode() in open_ended


def test_frames_of_a_clip_are_named() -> None:
    """One group a frame, each with its number."""
    source = headers([file_of(header(NumberOfFrames=40), picture())])[0]
    said = [Said(frame, {"opacity": 0.5}, {}, None) for frame in (1, 21)]

    made = dcmread(BytesIO(write_report([source], said, MARK, KEYS)))

    numbers = [int(e.value) for e in made.iterall() if e.keyword == "ReferencedFrameNumber"]
    assert numbers == [1, 21]


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("PatientName", "Müller^Änne=美^人=x=y", "Müller^Änne=美^人=x"),
        ("PatientName", "A" * 900, "A" * 64),
        ("PatientBirthDate", "2024-13-99 or so", ""),
        ("StudyTime", "half past nine", ""),
        ("PatientBirthDate", "20241399", ""),
        ("StudyTime", "256100", ""),
        ("PatientSex", "F\\DROP", "F"),
        ("PatientSex", "female", ""),
        ("AccessionNumber", "3" + "9" * 90, "3999999999999999"),
        ("StudyID", "\x00\x07", ""),
        ("AccessionNumber", ["17", "18"], "17"),
    ],
)
def test_what_has_not_the_form_of_its_type_is_not_carried_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, value: Any, found: str
) -> None:
    """The result of a hostile header is valid, or has nothing in that place."""
    need("dciodvfy")
    from pydicom import config

    with config.disable_value_validation():
        made = header(SpecificCharacterSet="ISO_IR 192")
        setattr(made, name, value)
        data = file_of(made, picture())
        told = read_source(data)
    report = write_report([header_of(told)], [Said(None, {"opacity": 0.5}, {}, None)], MARK, KEYS)
    (tmp_path / "sr.dcm").write_bytes(report)

    assert told[name] == found
    assert capfd.readouterr().err == ""  # a library's warning would quote the name
    assert not errors(tmp_path / "sr.dcm")


def test_numbers_of_results_need_the_sites_key() -> None:
    """Two hospitals, two models or two images never share a number; no number of a source leaks."""
    told = {report_of()}
    other = header_of(read_source(file_of(header(), picture())))
    said = [Said(None, {"opacity": 0.87654321}, {"opacity": 0.4}, ("opacity",))]
    told.add(write_report([other], said, MARK, SiteKeys(bytes(32))))
    numbers = {str(dcmread(BytesIO(data)).SOPInstanceUID) for data in told}

    assert len(numbers) == 2
    assert all(number.startswith("2.25.") for number in numbers)


def results(folder: Path, count: int = 3) -> list[Path]:
    """Reports and one mask in a folder."""
    folder.mkdir()
    for number in range(1, count):
        (folder / f"{number}.dcm").write_bytes(report_of(number=number))
    mask = np.ones((1, 8, 8), np.uint8)
    source = headers([file_of(header(), picture())])
    (folder / "m.dcm").write_bytes(write_mask(Drawn(source, mask), [LESION], MARK, KEYS))
    return sorted(folder.glob("*.dcm"))


def quiet(*_: Any) -> None:
    """Nobody looks on."""


def test_results_reach_the_pacs_by_dicom(tmp_path: Path) -> None:
    """Reports and masks by C-STORE, byte for byte what was written; a refusal is counted."""
    taken: list[Dataset] = []

    def store(event: Any) -> int:
        taken.append(event.dataset)
        return 0xA700 if len(taken) == 3 else 0x0000

    entity = AE(ae_title="PACS")
    for kind in ("1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.66.4"):
        entity.add_supported_context(kind, ExplicitVRLittleEndian)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    paths = results(tmp_path / "out")
    settings = Settings(
        home=tmp_path, pacs_host="127.0.0.1", pacs_port=server.server_address[1], pacs_aet="PACS"
    )
    try:
        told = send(paths, settings, quiet)
    finally:
        server.shutdown()

    assert told == {"sent": 2, "not_taken": {"0xA700": 1}}
    assert len({str(one.SOPInstanceUID) for one in taken}) == 3


def test_results_reach_the_pacs_by_dicomweb(tmp_path: Path) -> None:
    """One object a request (STOW-RS); what is refused is counted; no other address is asked."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        """Takes what comes, but not the second."""

        def do_POST(self) -> None:
            """Answer."""
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(409 if len(bodies) == 2 else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    paths = results(tmp_path / "out")
    url = f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
    try:
        told = send(paths, Settings(home=tmp_path, pacs_url=url), quiet)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    assert told == {"sent": 2, "not_taken": {"409": 1}}
    with pytest.raises(Unreachable):
        send(paths, Settings(home=tmp_path, pacs_url=url), quiet)
    assert all(path.read_bytes() in body for path, body in zip(paths, bodies, strict=True))


def test_nothing_is_sent_where_no_pacs_is_named(tmp_path: Path) -> None:
    """The address comes from the settings alone, and is shown before the yes."""
    settings = Settings(home=tmp_path)
    for act in (lambda: address_of(settings), lambda: send([], settings, quiet)):
        with pytest.raises(NotReady, match="name no PACS"):
            act()
    named = Settings(home=tmp_path, pacs_host="10.0.0.9", pacs_aet="PACS")
    assert address_of(named) == "PACS@10.0.0.9:104"
