"""A released model with its papers as one file, the same bytes whenever it is asked for.

Only what `ReleaseService` lets out is in it: the gate is asked there and nowhere else.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping

from compliance.errors import Malformed
from hub.services.exports import ExportService
from hub.services.papers import ModelPapers

MODEL, SUMS = "model.safetensors", "SHA256SUMS"
PACKAGE, WEIGHTS = "package", "weights"
WANTED = (PACKAGE, WEIGHTS)
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The one time of every file: the package names its model by hash, not by date."""


class ModelPackage:
    """Makes the file that a researcher takes home.

    Args:
        exports: writes models.
        papers: writes what goes with them.
    """

    def __init__(self, *, exports: ExportService, papers: ModelPapers) -> None:
        self._exports, self._papers = exports, papers

    def of(self, study: str, model: str | None, wanted: str = WEIGHTS) -> tuple[bytes, str]:
        """The bytes of a file and its name.

        Args:
            study: whose model.
            model: its hash; None is the newest that was released.
            wanted: `weights` for the safetensors file alone, `package` for one zip with its papers.

        Raises:
            Malformed: neither of the two is wanted.
            NotReady: nothing was released, or the release is not witnessed yet.
            Refused: the hospitals have not agreed, or the model was called back.
        """
        if wanted not in WANTED:
            raise Malformed("act", f"what is wanted is {' or '.join(WANTED)}")
        data, name = self._exports.model_file(study, model)
        if wanted == WEIGHTS:
            return data, name
        files = {MODEL: data, **self._papers.of(study, model)}
        return packed(files), name.replace(".safetensors", ".zip")


def packed(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files and their SHA-256 sums; equal files give equal bytes."""
    sums = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted({**files, SUMS: sums.encode()}.items()):
            member = zipfile.ZipInfo(name, LONG_AGO)
            member.external_attr = 0o644 << 16
            archive.writestr(member, data)
    return out.getvalue()
