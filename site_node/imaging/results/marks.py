"""What every result says of itself: which model made it, and that nobody may be treated by it."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from highdicom import ContributingEquipment
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.uid import UID

from site_node.imaging.deid.copy_file import IMPLEMENTATION, VERSION_NAME
from site_node.imaging.keys import SiteKeys

NOT_CLINICAL = "Research use only. Not for clinical use. Not a medical device."
SERIES = "Research only, not for clinical use"
MAKER, PROGRAM = "Consilium", "Consilium site predict"
SCHEME = "99CONSILIUM"
PURPOSE = CodedConcept("109102", "DCM", "Processing Equipment")
MOST_LONG = 64


@dataclass(frozen=True)
class Mark:
    """Which model made a result, and for whom.

    Args:
        model: `model_sha256`.
        title: of the study.
        recipe: id and version of the recipe.
        version: of this program.
        limits: what the model's card says about its use.
        site: name of this hospital in the consortium.
        at: when the image was first predicted.
        used: the model as it was used here, if layers of this hospital completed it.
        layers: these layers in words, with their hash.
    """

    model: str
    title: str
    recipe: str
    version: str
    limits: str
    site: str
    at: datetime
    used: str = ""
    layers: str = ""

    @property
    def name(self) -> str:
        """From which the numbers of results are made: other layers give other results."""
        return self.used or self.model

    @property
    def completed(self) -> list[str]:
        """What is said of layers that are not in the released model."""
        return [f"The released model was completed with the {self.layers}."] if self.layers else []

    @property
    def digits(self) -> str:
        """The hash without its prefix: 64 characters, as long as LO may be."""
        return self.model.removeprefix("sha256:")

    @property
    def equipment(self) -> ContributingEquipment:
        """The model as the equipment that contributed."""
        return ContributingEquipment(
            manufacturer=MAKER,
            purpose_of_reference=PURPOSE,
            manufacturer_model_name=self.recipe[:MOST_LONG],
            software_versions=self.version,
            device_serial_number=self.digits,
            contribution_datetime=self.at.replace(tzinfo=None),
            contribution_description=" ".join((NOT_CLINICAL, *self.completed)),
        )

    def words(self) -> dict[str, Any]:
        """What both kinds of results are made with."""
        return {
            "manufacturer": MAKER,
            "manufacturer_model_name": PROGRAM,
            "software_versions": self.version,
            "device_serial_number": self.digits,
            "series_description": SERIES,
            "content_date": self.at.date(),
            "content_time": self.at.time().replace(tzinfo=None),
            "series_number": 9901,
            "instance_number": 1,
            "contributing_equipment": [self.equipment],
        }


logging.getLogger("highdicom").addHandler(logging.NullHandler())
logging.getLogger("highdicom").propagate = False
"""The library warns of names that look unusual, with the name: that must reach no log."""


@contextlib.contextmanager
def unwarned() -> Iterator[None]:
    """Let the libraries warn of nothing while a result is made: warnings quote values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def uid_of(keys: SiteKeys, kind: str, model: str, instances: list[str]) -> str:
    """The number of a result: by the site's key, the same for the same model and images."""
    return keys.uid("\0".join((kind, model, *instances)))


def finish(made: Dataset, mark: Mark) -> Dataset:
    """Say when and by whom the file was made: by us, at the time of the prediction."""
    made.InstanceCreationDate, made.InstanceCreationTime = (
        f"{mark.at:%Y%m%d}",
        f"{mark.at:%H%M%S}",
    )
    for equipment in made.ContributingEquipmentSequence:
        equipment.ContributionDateTime = f"{mark.at:%Y%m%d%H%M%S}"
    made.file_meta.ImplementationClassUID = UID(IMPLEMENTATION)
    made.file_meta.ImplementationVersionName = VERSION_NAME
    return made
