"""The child process that reads images for a model: an import's child that says who it is about.

Source: design/imaging.md §4; the same limits, the same steps to the pixels, the same reasons.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

from site_node.imaging.child import Act, examining, more_memory, serve
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.workers import Crew

MODULE = "site_node.imaging.results.child"


def readers(recipe: ImportRecipe, order: bytes, more_seconds: float = 0.0) -> Crew:
    """Children that read images for a model."""
    return Crew(MODULE, recipe.model_dump_json(), order, more_seconds)


def reading(scratch: Path, recipe: ImportRecipe, line: bytes) -> Act:
    """What is done with a file: its image into the scratch file, who it is about to the parent."""
    look = examining(scratch, recipe, line)

    def act(view: memoryview) -> dict[str, Any]:
        from site_node.imaging.results.source import read_source

        return look(view) | {"source": read_source(view)}

    return act


def main() -> None:
    """Read recipe and order, then files."""
    recipe, line = ImportRecipe.model_validate_json(sys.argv[2]), sys.stdin.buffer.readline()
    serve(lambda: reading(Path(sys.argv[1]), recipe, line), more_memory(line))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
