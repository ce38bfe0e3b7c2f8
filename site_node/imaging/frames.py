"""The second look at a file, for its pixels: a child process lays frames into its scratch file.

Which frames make a volume, and which mask belongs to which image, is known by now; here each frame
becomes physical values (float32) or a mask (uint8), in the order of the file.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from site_node.imaging.child import Act, allow, serve
from site_node.imaging.recipe import ImportRecipe

FLOAT, BYTE = "<f4", "u1"


def framing(scratch: Path, recipe: ImportRecipe) -> Act:
    """What is done with a file: every frame into the scratch file, its shape to the parent."""
    from site_node.imaging.examine import check_pixels, work_in
    from site_node.imaging.header import LOOKED_AT, PLACED_BY, parse, view_of
    from site_node.imaging.identity import text_of
    from site_node.imaging.memo import Memo
    from site_node.imaging.outcomes import hostile_bytes
    from site_node.imaging.physical import Physician, stored_frames
    from site_node.imaging.scan import scan
    from site_node.imaging.segmentation import CLASS, masks_of, read_segmentation

    def act(view: memoryview) -> dict[str, Any]:
        outline = scan(view)
        with hostile_bytes():
            header = view_of(parse(outline), Memo(0), LOOKED_AT | PLACED_BY)
            shape, steps = check_pixels(outline, header)
            allow(work_in(outline, shape))
            told: dict[str, Any] = {"rows": shape.rows, "columns": shape.columns}
            if text_of(header, "SOPClassUID") == CLASS:
                found = read_segmentation(header, shape, recipe.segments)
                count = _write(scratch, masks_of(outline, header, shape, found.pieces))
                pieces = [piece.plain() for piece in found.pieces]
                return told | {"frames": count, "type": BYTE, "pieces": pieces}
            physician = Physician(header, shape, recipe, steps, outline.little)
            frames = enumerate(stored_frames(outline, shape))
            count = _write(scratch, (physician.values(one, number) for number, one in frames))
            return told | {"frames": count, "type": FLOAT}

    return act


def _write(scratch: Path, frames: Iterable[Any]) -> int:
    count = 0
    with scratch.open("wb") as out:
        for frame in frames:
            out.write(frame.tobytes())
            count += 1
    return count


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = ImportRecipe.model_validate_json(sys.argv[2])
    serve(lambda: framing(Path(sys.argv[1]), asked))
