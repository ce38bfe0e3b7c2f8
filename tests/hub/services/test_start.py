"""Start weights that anybody can draw again."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from compliance.records.layout import Layout, layout_for
from hub.services.start import initial_vector

SMALL = Layout.of(
    [
        {"name": "w", "shape": [3], "role": "param", "init": {"kind": "uniform", "bound": "0.5"}},
        {"name": "b", "shape": [2], "role": "param", "init": {"kind": "const", "value": "0"}},
        {"name": "v", "shape": [2], "role": "buffer", "init": {"kind": "const", "value": "1"}},
    ]
)


def test_a_start_value_can_be_recomputed_by_hand_from_the_seed():
    """Key from seed and name, word of the key stream, 24 bits, bound: as the design writes it."""
    key = hashlib.sha256(b"seed" + b"\x00" + b"w").digest()
    stream = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor().update(bytes(12))
    words = [int.from_bytes(stream[i : i + 4], "little") for i in (0, 4, 8)]
    expected = [np.float32((2 * ((word >> 8) / 2**24) - 1) * 0.5) for word in words]

    vector = initial_vector(SMALL, b"seed")

    assert vector.tolist() == [0, 0, *[float(value) for value in expected], 1, 1]


def test_start_weights_of_a_known_seed_stay_the_same_for_ever():
    """A golden value: a study that began with it must be recomputable in ten years."""
    digest = hashlib.sha256(initial_vector(SMALL, b"seed").tobytes()).hexdigest()

    assert digest == "a9b79d9b8216a90824556bc429d0bc6fda4c5c54520a238aa886352acaa8d6ed"


def test_another_seed_or_name_gives_other_weights():
    """Two entries of one network do not start alike."""
    layout = layout_for("cnn2d_small", 1, 1)

    one, other = initial_vector(layout, b"a"), initial_vector(layout, b"b")

    assert not np.array_equal(one, other)
    parts = [one[e.offset : e.offset + 9].tobytes() for e in layout.entries if e.count > 100]
    assert len(set(parts)) == len(parts)


@pytest.mark.parametrize("network", ["cnn2d_small", "densenet121_gn", "resnet18"])
def test_start_weights_fill_the_bound_evenly(network):
    """Mean 0, spread bound / sqrt 3, nothing outside the bound; scales 1, shifts 0."""
    layout = layout_for(network, 1, 1)
    vector = initial_vector(layout, b"even")

    assert vector.dtype == np.float32
    assert vector.shape == (layout.count,)
    for entry in layout.entries:
        part = vector[entry.offset : entry.offset + entry.count].astype(np.float64)
        if entry.init.kind == "const":
            assert (part == float(entry.init.value)).all()
            continue
        bound = float(entry.init.bound)
        assert np.abs(part).max() <= np.float32(bound)
        if entry.count > 5000:
            assert part.mean() / bound == pytest.approx(0, abs=0.05)
            assert part.std() / bound == pytest.approx(3**-0.5, rel=0.03)
