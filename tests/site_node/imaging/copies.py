"""Copies for tests: of a header, or of a whole file, read again."""

from __future__ import annotations

from io import BytesIO

import pydicom
from pydicom.dataset import Dataset

from site_node.imaging.deid.copy_file import copy_file
from site_node.imaging.deid.deidentify import deidentify
from site_node.imaging.deid.order import Order
from site_node.imaging.deid.profiles import TRAINING, Profile
from site_node.imaging.keys import SiteKeys
from tests.site_node.imaging.files import SECRET

KEYS = SiteKeys(SECRET)


def clean(made: Dataset, profile: Profile = TRAINING) -> Dataset:
    """The copy of a header."""
    return deidentify(made, profile, KEYS)[0]


def copied(data: bytes, profile: Profile = TRAINING, *, accept: bool = False) -> Dataset:
    """The copy of a file, read again."""
    out = BytesIO()
    copy_file(data, Order(profile, accept), KEYS, out)
    return pydicom.dcmread(BytesIO(out.getvalue()))
