"""The two collections of files of pydicom, for tests: by content, and which of them hold pixels."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import data_store
import pydicom

ROOTS = (Path(pydicom.__file__).parent / "data", Path(data_store.__file__).parent)
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def collected() -> list[Path]:
    """Every file of both collections that may be DICOM, each content once, by name."""
    found = (path for root in ROOTS for path in sorted(root.rglob("*")))
    named = (path for path in found if path.suffix in ("", ".dcm") and path.is_file())
    return sorted({hashlib.sha256(path.read_bytes()).digest(): path for path in named}.values())


def with_pixels() -> list[Path]:
    """Those in which pydicom itself finds pixels."""
    return [path for path in collected() if _has_pixels(path)]


def _has_pixels(path: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            header = pydicom.dcmread(path, force=True)
            return any(name in header for name in PIXELS)
        except Exception:  # noqa: BLE001 - it raises what it likes over these files
            return False
