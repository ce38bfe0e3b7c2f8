"""The closed lists of reasons: what may be said about a refusal without telling about a patient."""

from __future__ import annotations

from enum import StrEnum


class Excluded(StrEnum):
    """Why an update that arrived was not used."""

    NOT_FINITE = "not_finite"
    WRONG_SHAPE = "wrong_shape"
    NORM_BOUND = "norm_bound"
    OUTLIER = "outlier"
    LATE = "late"
    BAD_HASH = "bad_hash"
    BAD_COUNT = "bad_count"
    WITHDRAWN = "withdrawn"


class Missing(StrEnum):
    """Why a site of the round sent no update."""

    NO_ANSWER = "no_answer"
    LATE = "late"
    REFUSED = "refused"
    OFFLINE = "offline"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class Aborted(StrEnum):
    """Why a round ended without a model."""

    TOO_FEW = "too_few"
    DEADLINE = "deadline"
    STOPPED = "stopped"
    HUB_RESTART = "hub_restart"
    OPERATOR = "operator"


class Leaving(StrEnum):
    """Why a site or a dataset leaves a study."""

    CONSENT = "consent"
    POLICY = "policy"
    LEGAL = "legal"
    TECHNICAL = "technical"
    OTHER = "other"


class Reduced(StrEnum):
    """Why a dataset became smaller."""

    OBJECTION = "objection"
    ERASURE = "erasure"
    QUALITY = "quality"


class Stopped(StrEnum):
    """Why a study was stopped."""

    SAFETY = "safety"
    PRIVACY = "privacy"
    INTEGRITY = "integrity"
    LEGAL = "legal"
    OPERATOR = "operator"


class Closed(StrEnum):
    """Why a study was closed for good."""

    COMPLETED = "completed"
    EXPIRED = "expired"
    ABANDONED = "abandoned"


class ReleaseRefused(StrEnum):
    """Why a site does not let a model out."""

    LEAK_TEST = "leak_test"
    SMALL_CELLS = "small_cells"
    PERFORMANCE = "performance"
    LEGAL = "legal"
    OTHER = "other"


class Recalled(StrEnum):
    """Why a released model was called back."""

    WRONG_RESULT = "wrong_result"
    DATA_WITHDRAWN = "data_withdrawn"
    SAFETY = "safety"
    SUPERSEDED = "superseded"


class Rotated(StrEnum):
    """Why a key was replaced."""

    PLANNED = "planned"
    LOST = "lost"
    STOLEN = "stolen"
    TAKEOVER = "takeover"


class StudyRefused(StrEnum):
    """Why a hospital does not sign a charter."""

    PURPOSE = "purpose"
    PRIVACY = "privacy"
    CAPACITY = "capacity"
    LEGAL = "legal"
    DATA = "data"
    OTHER = "other"


class Departure(StrEnum):
    """Why a member is suspended, or leaves."""

    POLICY = "policy"
    SECURITY = "security"
    INACTIVE = "inactive"
    OWN_WISH = "own_wish"


class Retired(StrEnum):
    """Why a recipe is not used any more."""

    SUPERSEDED = "superseded"
    SECURITY = "security"
    WRONG_RESULT = "wrong_result"


class Quarantine(StrEnum):
    """Why a received object, or a row of a table, was not imported; only the reason is told."""

    NOT_DICOM = "not_dicom"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    TOO_DEEP = "too_deep"
    TOO_MANY_ELEMENTS = "too_many_elements"
    INFLATES_TOO_LARGE = "inflates_too_large"
    TOO_LARGE = "too_large"
    ARCHIVE_UNSAFE = "archive_unsafe"
    PARSE_TIMEOUT = "parse_timeout"
    PARSE_MEMORY = "parse_memory"
    PARSER_CRASHED = "parser_crashed"
    MISSING_IDENTITY = "missing_identity"
    BAD_UID = "bad_uid"
    CLASS_NOT_SUPPORTED = "class_not_supported"
    TRANSFER_SYNTAX_NOT_SUPPORTED = "transfer_syntax_not_supported"
    PIXELS_MISSING = "pixels_missing"
    PIXELS_INCONSISTENT = "pixels_inconsistent"
    DECODE_FAILED = "decode_failed"
    NUMBER_NOT_USABLE = "number_not_usable"
    LUT_NOT_USABLE = "lut_not_usable"
    BURNED_IN_TEXT = "burned_in_text"
    RESIDUAL_IDENTIFIER = "residual_identifier"
    UID_CONFLICT = "uid_conflict"
    SAME_IMAGE_TWO_PATIENTS = "same_image_two_patients"
    LABEL_CONFLICT = "label_conflict"
    SERIES_MIXED_GEOMETRY = "series_mixed_geometry"
    SERIES_UNEVEN = "series_uneven"
    SERIES_TILTED = "series_tilted"
    SERIES_DUPLICATE_POSITION = "series_duplicate_position"
    SERIES_TOO_SHORT = "series_too_short"
    ROW_NOT_WHOLE = "row_not_whole"
    VALUE_MISSING = "value_missing"
    VALUE_NOT_LISTED = "value_not_listed"
    VALUE_OUT_OF_RANGE = "value_out_of_range"
    PATIENT_TWICE = "patient_twice"
