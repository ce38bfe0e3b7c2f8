"""Every rule as its paper writes it: plain loops, nothing shared with the hub's own code."""

from __future__ import annotations

from math import sqrt


def length(vector):
    """L2 norm."""
    return sqrt(sum(value * value for value in vector))


def shares(examples, cap):
    """Shares by examples; what is above the cap is cut, the others fill it, again and again."""
    cap = max(cap, 1 / len(examples))
    cut = set()
    while True:
        whole = sum(n for place, n in enumerate(examples) if place not in cut)
        left = 1 - cap * len(cut)
        found = [cap if place in cut else left * n / whole for place, n in enumerate(examples)]
        over = {p for p, share in enumerate(found) if p not in cut and share > cap * (1 + 1e-12)}
        if not over:
            return found
        cut |= over


def weighted(vectors, weights):
    """Sum of weight times vector."""
    return [
        sum(weight * vector[place] for weight, vector in zip(weights, vectors, strict=True))
        for place in range(len(vectors[0]))
    ]


def middle(values):
    """The median."""
    order, half = sorted(values), len(values) // 2
    return order[half] if len(order) % 2 else (order[half - 1] + order[half]) / 2


def fedavg(vectors, examples, cap=1.0):
    """McMahan et al. 2017, shares capped."""
    return weighted(vectors, shares(examples, cap))


def clipped_mean(vectors, examples, cap=0.5):
    """Each vector cut to the median length."""
    most = middle([length(vector) for vector in vectors])
    cut = []
    for vector in vectors:
        by = min(1.0, most / length(vector)) if length(vector) else 1.0
        cut.append([value * by for value in vector])
    return weighted(cut, shares(examples, cap))


def trimmed_mean(vectors, f):
    """Yin et al. 2018, definition 2: per coordinate, f dropped at each end."""
    found = []
    for place in range(len(vectors[0])):
        order = sorted(vector[place] for vector in vectors)
        rest = order[f : len(order) - f]
        found.append(sum(rest) / len(rest))
    return found


def median(vectors):
    """Yin et al. 2018, definition 1: per coordinate."""
    return [middle([vector[place] for vector in vectors]) for place in range(len(vectors[0]))]


def nnm(vectors, f):
    """Allouah et al. 2023, algorithm 2: each vector becomes the mean of its n - f nearest."""
    mixed = []
    for one, vector in enumerate(vectors):
        far = []
        for other, another in enumerate(vectors):
            away = length([a - b for a, b in zip(vector, another, strict=True)])
            far.append((away, other != one, other))
        near = [other for _, _, other in sorted(far)[: len(vectors) - f]]
        mixed.append(
            [sum(vectors[n][place] for n in near) / len(near) for place in range(len(vector))]
        )
    return mixed


def nnm_trimmed(vectors, f):
    """The trimmed mean of mixed vectors."""
    return trimmed_mean(nnm(vectors, f), f)


def fltrust(vectors, reference):
    """Cao et al. 2021, algorithm 2; None where nobody is trusted."""
    scores, scaled = [], []
    for vector in vectors:
        both = length(vector) * length(reference)
        inner = sum(a * b for a, b in zip(vector, reference, strict=True))
        scores.append(max(0.0, inner / both) if both else 0.0)
        by = length(reference) / length(vector) if length(vector) else 0.0
        scaled.append([value * by for value in vector])
    if not sum(scores):
        return None
    return weighted(scaled, [score / sum(scores) for score in scores])


def server(kind, deltas, lr, beta1, beta2, tau):
    """Reddi et al. 2021, algorithm 2: the steps of several rounds of one number."""
    m = v = 0.0
    steps = []
    for delta in deltas:
        m = beta1 * m + (1 - beta1) * delta
        if kind == "avgm":
            steps.append(lr * m)
            continue
        if kind == "adagrad":
            v = v + delta**2
        elif kind == "adam":
            v = beta2 * v + (1 - beta2) * delta**2
        else:
            sign = (v > delta**2) - (v < delta**2)
            v = v - (1 - beta2) * delta**2 * sign
        steps.append(lr * m / (sqrt(v) + tau))
    return steps
