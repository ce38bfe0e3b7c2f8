"""Which of pydicom's own files with pixels are decoded here, and why the others are not."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from compliance.records.reasons import Quarantine
from site_node.imaging.decode import stored_frame
from site_node.imaging.examine import check_pixels, parse
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.scan import scan
from tests.site_node.imaging.collections import with_pixels

LEFT_OUT = {
    "JPEG-lossy.dcm": Quarantine.TRANSFER_SYNTAX_NOT_SUPPORTED,
    "JPGExtended.dcm": Quarantine.TRANSFER_SYNTAX_NOT_SUPPORTED,
    "JPEG2000-embedded-sequence-delimiter.dcm": Quarantine.PIXELS_INCONSISTENT,
    "MR_truncated.dcm": Quarantine.TRUNCATED,
    "SC_rgb_jpeg.dcm": Quarantine.MALFORMED,
    "badVR.dcm": Quarantine.PIXELS_INCONSISTENT,
    "meta_missing_tsyntax.dcm": Quarantine.PIXELS_INCONSISTENT,
    "nested_priv_SQ.dcm": Quarantine.PIXELS_INCONSISTENT,
}
"""Twelve bits by extended JPEG, which no free decoder reads; a codestream of another size than its
header says; cut short; wrong types; no number of frames; no transfer syntax; no image size."""


@pytest.fixture(scope="module")
def outcomes() -> list[tuple[str, Quarantine | str]]:
    """What each file came to: the decoder, or the reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [(path.name, decoded(path)) for path in with_pixels()]


def decoded(path: Path) -> Quarantine | str:
    """Decode every frame as an import does before it looks at the recipe."""
    try:
        outline = scan(path.read_bytes())
        shape, steps = check_pixels(outline, parse(outline))
        offset, length = outline.pixels or (0, 0)
        if not outline.encapsulated:
            length = min(length, (shape.frame_bits() * shape.frames + 7) // 8)
            length += length % 2
        pixels = bytes(outline.data[offset : offset + length])
        for number in range(shape.frames):
            stored_frame(pixels, shape, outline.syntax, number)
    except Quarantined as out:
        return out.reason
    return steps.decoder


def test_at_least_154_of_162_are_decoded_by_a_decoder_on_record(outcomes) -> None:
    """No plug-in under the GPL is among the decoders."""
    done = [word for _, word in outcomes if not isinstance(word, Quarantine)]

    assert len(outcomes) >= 162
    assert len(done) >= len(outcomes) - 8 >= 154
    assert set(done) == {"pydicom", "gdcm", "pyjpegls", "pylibjpeg"}


def test_every_other_one_is_left_out_with_the_right_reason(outcomes) -> None:
    """Each by name."""
    left = [(name, word) for name, word in outcomes if isinstance(word, Quarantine)]

    assert sorted(left) == sorted(LEFT_OUT.items())
