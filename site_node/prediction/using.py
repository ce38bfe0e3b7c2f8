"""What a technician asks of a released model: predict, and send what came out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from compliance.errors import NotReady
from site_node.gate.released import ReleasedModels, Served
from site_node.imaging.catalogue import Catalogue
from site_node.imaging.reception import Reception
from site_node.imaging.sources import Progress
from site_node.settings import Settings
from site_node.store.journal import Sessions


@dataclass(frozen=True)
class Using:
    """Uses a released model; what is heavy is loaded when it is needed.

    Args:
        settings: home and PACS of the site.
        models: which model may be used.
        reception: fetches from the PACS, where that is the source.
        sessions: the site's database.
        catalogue: the site's datasets.
        write: writes a line of the journal.
        clock: the time now.
        random: that many bytes nobody can guess.
    """

    settings: Settings
    models: ReleasedModels
    reception: Reception
    sessions: Sessions
    catalogue: Catalogue
    write: Callable[..., None]
    clock: Callable[[], datetime]
    random: Callable[[int], bytes]

    def predict(self, source: Path | str, out: Path, **asked: Any) -> dict[str, Any]:
        """Predict a source; `asked` are the words of `site predict`."""
        from site_node.prediction.predicting import Predictor, Request

        served = self._served(asked["study"], asked["model"])
        request = Request(
            source=source,
            out=out,
            recipe=asked["recipe"],
            find_text=self.reception.finds_text(asked["find_text"]),
            list_files=asked["list_files"],
            fetch=self.reception.fetch_of(source, asked["query"]),
        )
        predictor = Predictor(
            settings=self.settings,
            sessions=self.sessions,
            catalogue=self.catalogue,
            write=self.write,
            clock=self.clock,
            random=self.random,
        )
        return predictor.run(served, request, asked["progress"])

    def _served(self, study: str | None, model: Path | None) -> Served:
        if model is not None:
            return self.models.of_file(model, study)
        if study is None:
            raise NotReady("no model is named.", "Say --study STUDY or --model FILE.")
        return self.models.of_study(study)

    def goes_to(self) -> str:
        """Where results would be sent.

        Raises:
            NotReady: the settings name no PACS.
        """
        from site_node.imaging.results.sending import address_of

        return address_of(self.settings)

    def send(self, out: Path, told: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Send every result of a folder to the PACS of the settings; on record."""
        from site_node.imaging.results.sending import send

        sent = send(sorted(out.glob("*.dcm")), self.settings, progress)
        counts = {"sent": sent["sent"], "not_taken": sum(sent["not_taken"].values())}
        self.write("results.sent", study=told["study"], model=told["model_sha256"], **counts)
        return sent
