"""The demo's images: drawn phantoms, a MedMNIST-style file, or the user's own folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compliance.errors import NotReady
from hub.demo.acts import Play

SIDE = 28


def lay_out(
    play: Play, data: Path | None
) -> tuple[dict[str, Path], dict[str, Any], dict[str, Any]]:
    """Return a folder per hospital, the import recipe and the changes of the training recipe.

    Raises:
        NotReady: `data` is neither an .npz file nor a folder with one sub-folder per hospital.
    """
    recipe: dict[str, Any] = {
        "kind": "2d",
        "size": [SIDE, SIDE],
        "channels": 1,
        "intensity": "relative",
        "split": {"validation": 0.15, "test": 0.2},
    }
    if data is not None and data.is_dir():
        return _own_folders(play, data), recipe, {}
    if data is not None and data.suffix != ".npz":
        raise NotReady(f"{data} is neither a folder nor an .npz file.", "Name one with --data.")
    out = play.state / "dicom"
    words = ["--out", str(out), "--sites", str(len(play.sites)), "--seed", "7"]
    words += ["--npz", str(data)] if data is not None else ["--patients", str(play.patients)]
    play.cast.run(*words, module="site_node.imaging.synthetic")
    made = sorted(path for path in out.iterdir() if path.is_dir())
    return dict(zip(play.sites, made, strict=True)), recipe, {}


def _own_folders(play: Play, data: Path) -> dict[str, Path]:
    folders = sorted(path for path in data.iterdir() if (path / "labels.csv").is_file())
    if len(folders) < len(play.sites):
        raise NotReady(
            f"{data} has {len(folders)} folders with a labels.csv, {len(play.sites)} are needed.",
            "Lay one folder per hospital with DICOM files and labels.csv, or change --sites.",
        )
    return dict(zip(play.sites, folders, strict=False))
