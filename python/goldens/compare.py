"""Comparing taps: the tolerances of the goldens, in one place."""

import numpy as np

# What an engine is allowed against the goldens, and the reference against NumPy.
HIDDEN_RELATIVE = 1e-5  # of the tensor's largest magnitude
LOGITS_ABSOLUTE = 1e-4
# Some seeds amplify fp32 rounding so much in a row that the reference itself would use up the tolerance.
# A seed must leave more than half of it to the engine; what is beyond NOISE_CEILING is no rounding but a bug.
HIDDEN_NOISE = 4e-6
NOISE_CEILING = 1e-4
BF16_COSINE = 0.999  # of a layer's output


class Mismatch(Exception):
    pass


def error(name: str, actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference: absolute for logits, relative to the largest magnitude elsewhere."""
    difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64)).max()
    return float(difference if name == "logits" else difference / np.abs(expected).max())


def check_taps(label: str, actual: dict, expected: dict, hidden_limit: float = HIDDEN_RELATIVE) -> dict[str, float]:
    """Raises Mismatch unless both have the same taps within tolerance; returns the worst errors."""
    if set(actual) != set(expected):
        raise Mismatch(f"{label}: taps differ: {sorted(set(actual) ^ set(expected))}")
    worst = {"hidden": 0.0, "logits": 0.0}
    for name in sorted(actual):
        if actual[name].shape != expected[name].shape:
            raise Mismatch(f"{label}: {name} has shapes {actual[name].shape} and {expected[name].shape}")
        if name.endswith("expert_ids"):
            if not np.array_equal(actual[name], expected[name]):
                raise Mismatch(f"{label}: {name} differs")
            continue
        e = error(name, actual[name], expected[name])
        limit = LOGITS_ABSOLUTE if name == "logits" else hidden_limit
        if not e <= limit:
            raise Mismatch(f"{label}: {name} is off by {e:.2e}, allowed {limit:.0e}")
        kind = "logits" if name == "logits" else "hidden"
        worst[kind] = max(worst[kind], e)
    return worst


def check_bf16(label: str, actual: dict, exact: dict, min_gap: float, router_gap) -> dict[str, float]:
    """A bf16 run against float64 on the same weights: cosine per layer, equal experts, visible gaps."""
    worst = {"cosine": 1.0, "gap": np.inf, "logits": error("logits", actual["logits"], exact["logits"])}
    for name in exact:
        if name.endswith("block_out"):
            a, b = actual[name].ravel().astype(np.float64), exact[name].ravel()
            cosine = float(a @ b / np.sqrt((a @ a) * (b @ b)))
            worst["cosine"] = min(worst["cosine"], cosine)
            if not cosine >= BF16_COSINE:
                raise Mismatch(f"{label}: {name} has cosine {cosine:.6f}")
        if name.endswith("router_logits"):
            worst["gap"] = min(worst["gap"], float(router_gap(actual[name]).min()))
        if name.endswith("expert_ids") and not np.array_equal(actual[name], exact[name]):
            raise Mismatch(f"{label}: {name} differs")
    if worst["gap"] < min_gap:
        raise Mismatch(f"{label}: router gap {worst['gap']:.3f}")
    return worst
