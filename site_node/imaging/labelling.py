"""Which object and which sample gets which label: from the label file, or from its mask.

Everything is told anew at each import, so that a slice or a mask that comes later counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from compliance.errors import NotReady
from compliance.records.reasons import Quarantine
from site_node.imaging.cases import Case, Drawn, drawn_cases, masked
from site_node.imaging.held import Held, cases_of
from site_node.imaging.keys import SiteKeys
from site_node.imaging.labels import Labels
from site_node.imaging.reading import Place
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.volumes import Volumes, volumes_of
from site_node.store.masks import MaskRow
from site_node.store.objects import HELD, SEGMENTATION, ObjectRow

BY_MASKS = "segmentation"
INCOMPLETE = "series_incomplete"


def mask_labels(recipe: ImportRecipe) -> Labels:
    """What takes the place of a label file when masks are the labels: the recipe's segments.

    Raises:
        NotReady: the recipe names none.
    """
    if not recipe.segments:
        raise NotReady(
            "--seg needs to know which segments are wanted.",
            "Name them in the import recipe: segments: [{name: lesion, code: SCT:52988006}].",
        )
    return Labels("mask", BY_MASKS, [segment.name for segment in recipe.segments])


def check_key(labels: Labels, recipe: ImportRecipe) -> None:
    """Refuse labels that fit no sample of the recipe.

    Raises:
        NotReady: they name single slices, and samples are volumes.
    """
    if recipe.solid and labels.kind == "instance":
        raise NotReady(
            "labels by SOPInstanceUID name single slices, and a 3D recipe makes volumes.",
            "Label by SeriesInstanceUID, StudyInstanceUID, AccessionNumber or PatientID.",
        )


def label_all(
    there: Held, place: Place, keys: SiteKeys, here: set[str], labels: Labels
) -> tuple[int, list[Case]]:
    """Label objects and samples of a dataset.

    Args:
        there: what is held; its objects get their labels and reasons.
        place: recipe and name of the dataset.
        keys: name volumes and masks.
        here: content hashes of this source; only they get labels from the file.
        labels: of the file, or the classes of masks.

    Returns:
        How many labels found no image, and all samples.
    """
    volumes = None
    if place.recipe.solid:
        volumes = volumes_of(there.rows, there.places, place.recipe, keys)
    if labels.task == BY_MASKS:
        unmatched, cases = 0, _label_by_masks(there, place, keys)
    else:
        unmatched = _label(there.rows, here, labels)
        cases = cases_of(there, place, keys)
    if volumes is not None:
        _judge_series(there.rows, volumes, cases)
    return unmatched, cases


def _label(rows: Sequence[ObjectRow], here: set[str], labels: Labels) -> int:
    """Put labels on the objects of this source; returns how many labels found no image."""
    used: set[str] = set()
    for row in rows:
        if row.sha256 not in here or row.outcome != HELD:
            continue
        keyed = str(getattr(row, f"{labels.kind}_key"))
        conflict = keyed in labels.conflicts
        row.label = None if conflict else labels.of.get(keyed)
        row.given_split = labels.splits.get(keyed)
        row.label_reason = Quarantine.LABEL_CONFLICT.value if conflict else None
        used.add(keyed)
    return len((labels.of.keys() | labels.conflicts) - used)


def _label_by_masks(there: Held, place: Place, keys: SiteKeys) -> list[Case]:
    """The samples of a dataset with their masks; also tells every object what its mask says."""
    cases = cases_of(there, place, keys)
    drawn = drawn_cases(cases, there.rows, there.places, keys)
    told = masked(cases, drawn, there.masks)
    _tell_objects(there.rows, told, drawn, there.masks)
    return told


def _tell_objects(
    rows: Iterable[ObjectRow],
    cases: Iterable[Case],
    drawn: Iterable[Drawn],
    masks: Mapping[str, MaskRow],
) -> None:
    """Say of every object what its masks say: its classes, or why it has none."""
    _forget_labels(rows)
    for case in cases:
        if case.label is not None:
            _add_classes(case.members, case.label)
    for one in drawn:
        mask = masks.get(one.key)
        if mask is not None and mask.row is not None:
            _add_classes(one.segmentations, mask.classes)
        elif mask is not None and mask.reason == Quarantine.LABEL_CONFLICT.value:
            for row in one.case.members:
                row.label_reason = mask.reason


def _forget_labels(rows: Iterable[ObjectRow]) -> None:
    for row in rows:
        if row.outcome in (HELD, SEGMENTATION):
            row.label, row.label_reason, row.given_split = None, None, None


def _add_classes(rows: Iterable[ObjectRow], classes: Sequence[int]) -> None:
    """An object of several samples has every class that one of them has."""
    for row in rows:
        before = row.label or [0] * len(classes)
        row.label = [max(pair) for pair in zip(before, classes, strict=True)]


def _judge_series(rows: Iterable[ObjectRow], volumes: Volumes, cases: Iterable[Case]) -> None:
    """Say of every slice why it is in no volume; judged anew each time, slices may come later."""
    waiting = {row.sha256 for case in cases if case.place is None for row in case.members}
    for row in rows:
        if row.outcome != HELD:
            continue
        reason = volumes.out.get(row.sha256)
        if reason is None and row.sha256 in waiting:
            reason = INCOMPLETE
        if reason is not None:
            row.label_reason = reason
        elif row.label_reason != Quarantine.LABEL_CONFLICT.value:
            row.label_reason = None
