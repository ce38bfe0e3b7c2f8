"""How much of what is written on real radiographs is found, and what reading costs.

16 radiographs without a word, each with a synthetic name and birth date at 9, 12, 16 and 24 pixels,
white and half-bright; all 35 radiographs without a word; the five on which the hospital itself
wrote; one picture of the size of a modern detector. Processor seconds of one thread.

Run: `.venv/bin/python -m tests.benchmarks.bench_burned_in`. Ends with 1 below the bar: at least 15
of 16 white names at every size, at most 1 of 16 touched without reason.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from site_node.imaging.deid.burned_in import MARGIN, blank, find_text
from site_node.imaging.deid.text_reader import TextReader
from tests.site_node.imaging.radiographs import SIZES, sixteen, unwritten, with_name, written_on

GREY, WHITE = 128, 255
FOUND, TOUCHED = 15, 1
DETECTOR = (3000, 2500)


@dataclass
class Stopwatch:
    """Reads pictures and counts processor seconds."""

    reader: TextReader = field(default_factory=TextReader)
    seconds: float = 0.0
    pictures: int = 0

    def find(self, picture: np.ndarray) -> list[Any]:
        """What is found on one picture."""
        begun = time.process_time()
        boxes = find_text(picture, self.reader)
        self.seconds += time.process_time() - begun
        self.pictures += 1
        return boxes


def names(watch: Stopwatch, size: int, ink: int) -> dict[str, Any]:
    """How many of 16 names are found, and how much ink of the surnames is left after blanking."""
    found, left, drawn = 0, 0, 0
    for number, picture in enumerate(sixteen()):
        named, surname = with_name(picture, number, size, ink)
        boxes = watch.find(named)
        found += any(box.touches(surname) for box in boxes)
        strokes = named[surname.place] != picture[surname.place]
        blanked = blank(named, boxes, 0, MARGIN)[surname.place]
        left += int((strokes & (blanked == named[surname.place]) & (blanked != 0)).sum())
        drawn += int(strokes.sum())
    return {"found": found, "of": 16, "ink_left": round(left / drawn, 4)}


def main() -> int:
    """Print one JSON object a line, then the verdict."""
    watch = Stopwatch()
    white = {size: names(watch, size, WHITE) for size in SIZES}
    grey = {size: names(watch, size, GREY) for size in SIZES}
    touched = sum(bool(watch.find(picture)) for picture in sixteen())
    all_touched = sum(bool(watch.find(picture)) for picture in unwritten())
    own = sum(bool(watch.find(picture)) for picture in written_on())
    print(json.dumps({"white": white}))
    print(json.dumps({"grey": grey}))
    print(json.dumps({"touched": touched, "of": 16, "all": [all_touched, len(unwritten())]}))
    print(json.dumps({"hospital_writing": own, "of": len(written_on())}))
    print(json.dumps({"cpu_seconds_each": round(watch.seconds / watch.pictures, 3)}))
    large = Stopwatch(watch.reader)
    large.find(np.asarray(Image.fromarray(sixteen()[0]).resize(DETECTOR)))
    print(json.dumps({"cpu_seconds_3000x2500": round(large.seconds, 2)}))
    good = all(row["found"] >= FOUND for row in white.values()) and touched <= TOUCHED
    print("bar met" if good else "below the bar")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
