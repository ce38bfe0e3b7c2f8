"""How fast files come in, de-identified, beside the tools that hospitals use for the half of it.

In one run, turn by turn, over the same CT slices of 39 KB: our import (de-identified, developed,
curated, committed), our copies, Kitware's dicom-anonymizer and dicognito. Processor seconds of the
whole process tree, start included, one worker each. The import keeps slices at their own size, as
the other tools do. Then reading for training: random batches from
the curated store beside MONAI's LoadImage on the same DICOM files.

Run: `.venv/bin/python -m tests.benchmarks.bench_import [--series 80] [--slices 100] [--rounds 1]`.
The peers are installed by pip into a temporary environment of their own; where that fails they are
left out, and it is said. The bar: import at least twice the fastest peer, reading 100 times.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from site_node.imaging.curated import CuratedDataset

ROOT = Path(__file__).resolve().parents[2]
PEERS = {"dicom-anonymizer": "dicom-anonymizer==2.1.0", "dicognito": "dicognito==0.19.0"}
IMPORT_BAR, READING_BAR = 2, 100
BATCH, BATCHES = 32, 100
SIDE = 128
OURS = "import sys; from compliance.command import main; sys.exit(main(sys.argv[1:]))"
DICOGNITO = "import sys; from dicognito.__main__ import main; main(sys.argv[1:])"


def main(words: list[str]) -> int:
    """Print files a processor second of each tool; 1 below the bar or where no peer was there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=80)
    parser.add_argument("--slices", type=int, default=100, help="files per series")
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="consilium-bench-") as folder:
        told = compare(Path(folder), asked.series, asked.slices, asked.rounds)
    print(json.dumps(told, indent=1))
    ratio = told["import_to_fastest_peer"]
    met = isinstance(ratio, float) and ratio >= IMPORT_BAR
    return 0 if met and told["reading_ratio"] >= READING_BAR else 1


def compare(root: Path, series: int, slices: int, rounds: int) -> dict[str, Any]:
    """Let every tool have its turn, several times; the median counts."""
    source = scans(root / "in", series, slices)
    tools = commands(root, source) | peers(root, source)
    seconds: dict[str, list[float]] = {name: [] for name in tools}
    for number in range(rounds):
        for name, command in tools.items():
            seconds[name].append(worked(command(root / f"{name}-{number}")))
    count = series * slices
    check(root, tools, count)
    rates = {name: round(count / median(each), 1) for name, each in seconds.items()}
    theirs = max((rates[name] for name in PEERS if name in rates), default=0)
    read = reading(root / f"import-{rounds - 1}" / "datasets" / "bench", source)
    size = sum(path.stat().st_size for path in source.rglob("*.dcm")) // count
    return {
        "files": count,
        "bytes_per_file": size,
        "files_per_cpu_second": rates,
        "import_to_fastest_peer": round(rates["import"] / theirs, 2) if theirs else "no peer here",
        "copies_to_fastest_peer": round(rates["copies"] / theirs, 2) if theirs else "no peer here",
        "import_bar": IMPORT_BAR,
        "reading_images_per_cpu_second": read,
        "reading_ratio": round(read["curated"] / read["monai"], 1),
        "reading_bar": READING_BAR,
    }


def check(root: Path, tools: Iterable[str], count: int) -> None:
    """Stop when a tool left files out: its figure would be no figure."""
    for name in tools:
        if name == "import":
            made = len(CuratedDataset.open(root / "import-0" / "datasets" / "bench"))
        else:
            place = root / (f"{name}-0-files" if name == "copies" else f"{name}-0")
            made = len(list(place.glob("*.dcm")))
        if made != count:
            sys.exit(f"{name} wrote {made} of {count} files")


def commands(root: Path, source: Path) -> dict[str, Callable[[Path], list[str]]]:
    """Our two commands, each into a home of its own."""
    labels, recipe = root / "labels.csv", root / "recipe.json"
    recipe.write_text(json.dumps({"kind": "2d", "size": [SIDE, SIDE]}))
    asked = ["--dataset", "bench", "--labels", str(labels), "--recipe", str(recipe)]

    def ours(out: Path, *words: str) -> list[str]:
        return [sys.executable, "-c", OURS, "site", *words, "--home", str(out)]

    return {
        "import": lambda out: ours(out, "import", str(source), *asked),
        "copies": lambda out: ours(out, "deidentify", str(source), "--out", f"{out}-files"),
    }


def peers(root: Path, source: Path) -> dict[str, Callable[[Path], list[str]]]:
    """The other tools with their defaults, from an environment of their own."""
    place = root / "peers"
    venv.create(place, with_pip=True)
    python = str(place / "bin" / "python")
    done = subprocess.run([python, "-m", "pip", "install", "-q", *PEERS.values()], check=False)
    if done.returncode:
        print("no peer could be installed: only our own figures follow", file=sys.stderr)
        return {}
    kitware = str(place / "bin" / "dicom-anonymizer")

    def into(out: Path) -> str:
        out.mkdir()
        return str(out)

    return {
        "dicom-anonymizer": lambda out: [kitware, str(source), into(out)],
        "dicognito": lambda out: [python, "-c", DICOGNITO, "-o", into(out), "-q", str(source)],
    }


def worked(command: list[str]) -> float:
    """Processor seconds of a command and of everything that it started."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(said.read().decode(errors="replace")[-2000:])
    return used.ru_utime + used.ru_stime


def reading(dataset: Path, source: Path) -> dict[str, float]:
    """Images a processor second in random batches: from the store, and from DICOM by MONAI."""
    from monai.transforms import LoadImage

    random = np.random.default_rng(1)
    data, load = CuratedDataset.open(dataset), LoadImage(image_only=True)
    files = sorted(str(path) for path in source.rglob("*.dcm"))
    few = BATCHES // 20
    ours = [random.integers(0, len(data), BATCH) for _ in range(BATCHES)]
    theirs = [random.integers(0, len(files), BATCH) for _ in range(few)]
    data.batch(ours[0])
    load(files[0])
    began = time.process_time()
    for rows in ours:
        data.batch(rows)
    between = time.process_time()
    for rows in theirs:
        np.stack([np.asarray(load(files[int(row)])) for row in rows])
    ended = time.process_time()
    return {
        "curated": round(BATCHES * BATCH / (between - began), 1),
        "monai": round(few * BATCH / (ended - between), 1),
    }


def scans(folder: Path, series: int, slices: int) -> Path:
    """A folder of CT slices, two series a patient, labels beside it in `labels.csv`."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(7)
    rows = ["SeriesInstanceUID,finding"]
    for number in range(series):
        made = header_of(number)
        base = random.integers(0, 1200, (SIDE, SIDE), dtype=np.int16)
        for index in range(slices):
            slice_of(made, number, index)
            made.PixelData = (base + index + number * 7).astype("<i2").tobytes()
            made.save_as(folder / f"{number:03d}-{index:05d}.dcm")
        rows.append(f"{made.SeriesInstanceUID},{('normal', 'ill')[number // 2 % 2]}")
    (folder.parent / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def header_of(number: int) -> Dataset:
    """What the slices of a series share: about a hundred elements, as a scanner writes them."""
    made = dcmread(str(get_testdata_file("CT_small.dcm")))
    patient, uid = 1000 + number // 2, f"1.3.6.1.4.1.5962.99.1.{number + 1}"
    told = {
        "PatientID": f"H{patient}", "PatientName": f"Example{patient}^Person^Q",
        "PatientBirthDate": f"19{40 + number % 50}0317", "PatientSex": "MF"[number // 2 % 2],
        "PatientAge": f"{60 + number % 20:03d}Y", "PatientAddress": f"{patient} Example Street",
        "StudyInstanceUID": f"1.3.6.1.4.1.5962.99.2.{patient}", "SeriesInstanceUID": uid,
        "StudyID": f"S{patient}", "AccessionNumber": f"A{patient}77",
        "FrameOfReferenceUID": f"{uid}.1", "StudyDate": "20190812", "SeriesDate": "20190812",
        "AcquisitionDate": "20190812", "ContentDate": "20190812", "StudyTime": "101112",
        "SeriesTime": "101520", "InstitutionName": "Example General Hospital",
        "InstitutionAddress": "1 Example Road", "StationName": "CT01",
        "ReferringPhysicianName": "Referrer^Anna", "OperatorsName": "Operator^Ben",
        "PerformingPhysicianName": "Performer^Cleo", "StudyDescription": "CT thorax with contrast",
        "SeriesDescription": "thorax 1.0 B30f", "ProtocolName": "Thorax routine",
        "BodyPartExamined": "CHEST", "PatientPosition": "HFS", "KVP": "120",
        "XRayTubeCurrent": "210",
        "ExposureTime": "500", "ConvolutionKernel": "B30f", "SliceThickness": "1.0",
        "RequestedProcedureDescription": "CT thorax", "PerformedProcedureStepID": f"P{patient}",
        "PerformedProcedureStepStartDate": "20190812", "WindowCenter": "40", "WindowWidth": "400",
        "BurnedInAnnotation": "NO", "DeviceSerialNumber": "48211", "SoftwareVersions": "VA48A",
        "LossyImageCompression": "00",
    }  # fmt: skip
    for name, value in told.items():
        setattr(made, name, value)
    made.ProcedureCodeSequence = Sequence([term("77477000", "SCT", "CT")])
    made.RequestAttributesSequence = Sequence([Dataset()])
    made.RequestAttributesSequence[0].ScheduledProcedureStepID = f"Q{patient}"
    made.RequestAttributesSequence[0].RequestedProcedureID = f"R{patient}"
    made.ReferencedStudySequence = Sequence([reference("1.2.840.10008.3.1.2.3.1", f"{uid}.2")])
    return made


def slice_of(made: Dataset, number: int, index: int) -> None:
    """What differs from slice to slice."""
    uid = f"1.3.6.1.4.1.5962.99.3.{number + 1}.{index + 1}"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = uid
    made.InstanceNumber = str(index + 1)
    made.ImagePositionPatient = [-158.1, -179.0, round(-75.7 + index, 1)]
    made.SliceLocation = f"{-77.2 + index:.1f}"
    made.ContentTime = made.AcquisitionTime = f"1015{index % 60:02d}.{index:06d}"
    localizer = f"1.3.6.1.4.1.5962.99.4.{number + 1}"
    made.ReferencedImageSequence = Sequence([reference(made.SOPClassUID, localizer)])


def term(value: str, scheme: str, meaning: str) -> Dataset:
    """An item with a coded term."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def reference(kind: str, uid: str) -> Dataset:
    """An item that points at another object."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = kind, uid
    return item


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
