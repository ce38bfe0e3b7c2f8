"""Scores as a Comprehensive SR: one group per frame, with the image it is about.

Source: DICOM PS3.16 TID 1500 (measurement report), TID 1501 (measurements and evaluations).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset

from site_node.imaging.keys import SiteKeys
from site_node.imaging.results.marks import (
    MAKER,
    NOT_CLINICAL,
    PROGRAM,
    SCHEME,
    Mark,
    finish,
    uid_of,
    unwarned,
)

UNITY = CodedConcept("1", "UCUM", "no units")
COMMENT = CodedConcept("121106", "DCM", "Comment")
DEVICE = CodedConcept("121007", "DCM", "Device")
PROCEDURE = CodedConcept("363679005", "SCT", "Imaging procedure")
NO_THRESHOLD = "No threshold was frozen here: the score is given and nothing is decided."
PLACES = 6
REPORT = "report"


@dataclass(frozen=True)
class Said:
    """What the model says of one frame.

    Args:
        frame: number from 1; None when the image has only one.
        scores: class to score in [0, 1].
        thresholds: class to frozen threshold; empty when none was frozen.
        decided: the classes it decides for; None without a threshold.
    """

    frame: int | None
    scores: dict[str, float]
    thresholds: dict[str, float]
    decided: tuple[str, ...] | None


@unwarned()
def write_report(
    sources: Sequence[Dataset], said: Sequence[Said], mark: Mark, keys: SiteKeys
) -> bytes:
    """The file of one report.

    Args:
        sources: header of the image, as `header_of` makes it, or of every slice of a volume.
        said: at least one frame.
        mark: the model.
        keys: for the numbers of report and series.
    """
    instances = [str(source.SOPInstanceUID) for source in sources]
    groups = [_group(sources, one, mark, keys) for one in said]
    observer = ObserverContext(
        DEVICE,
        DeviceObserverIdentifyingAttributes(
            uid=keys.uid(f"device\0{mark.site}"),
            name=PROGRAM,
            manufacturer_name=MAKER,
            model_name=mark.recipe,
            serial_number=mark.digits,
        ),
    )
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=PROCEDURE,
        imaging_measurements=groups,
    )
    made = ComprehensiveSR(
        evidence=list(sources),
        content=report[0],
        series_instance_uid=uid_of(keys, "report series", mark.name, [sources[0].StudyInstanceUID]),
        sop_instance_uid=uid_of(keys, REPORT, mark.name, instances),
        is_complete=True,
        is_final=False,
        is_verified=False,
        **mark.words(),
    )
    out = BytesIO()
    finish(made, mark).save_as(out, enforce_file_format=True)
    return out.getvalue()


def _group(
    sources: Sequence[Dataset], said: Said, mark: Mark, keys: SiteKeys
) -> MeasurementsAndQualitativeEvaluations:
    frames = None if said.frame is None else [said.frame]
    images = [
        SourceImageForMeasurementGroup(
            referenced_sop_class_uid=source.SOPClassUID,
            referenced_sop_instance_uid=source.SOPInstanceUID,
            referenced_frame_numbers=frames,
        )
        for source in sources
    ]
    tracked = [str(sources[0].SOPInstanceUID), str(said.frame or 1)]
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=uid_of(keys, "tracking", mark.name, tracked), identifier=f"frame {tracked[1]}"
        ),
        algorithm_id=AlgorithmIdentification(
            name=mark.recipe, version=mark.digits, parameters=[mark.title[:64]]
        ),
        measurements=[
            Measurement(name=_score(place, label), value=round(score, PLACES), unit=UNITY)
            for place, (label, score) in enumerate(said.scores.items(), start=1)
        ],
        qualitative_evaluations=[
            QualitativeEvaluation(
                name=CodedConcept("decision", SCHEME, "Decision of the model"),
                value=CodedConcept(f"class-{_place(said, label)}", SCHEME, label[:64]),
            )
            for label in said.decided or ()
        ],
        source_images=images,
    )
    for text in (NOT_CLINICAL, mark.limits, *mark.completed, _thresholds(said)):
        group[0].ContentSequence.append(
            TextContentItem(COMMENT, text, relationship_type=RelationshipTypeValues.CONTAINS)
        )
    return group


def _score(place: int, label: str) -> CodedConcept:
    """The name of a score; a code is at most 16 characters, so classes are numbered."""
    return CodedConcept(f"score-{place}", SCHEME, f"Score of {label}"[:64])


def _place(said: Said, label: str) -> int:
    return list(said.scores).index(label) + 1 if label in said.scores else 0


def _thresholds(said: Said) -> str:
    if not said.thresholds:
        return NO_THRESHOLD
    told = ", ".join(f"{label} {value:.6f}" for label, value in said.thresholds.items())
    return f"Threshold frozen at this hospital on its validation cases: {told}."
