"""The golden cases: which tokens at which positions, and what a checkpoint must show to be a good test.

Tokens are drawn one by one and kept only while every router decision is clear, so that rounding alone
never picks another expert. Attention is causal: a later token cannot spoil an earlier decision.
"""

from dataclasses import dataclass

import numpy as np

import tiny_model
from numpy_dbrx import NumpyDbrx

# Logit gap between the last expert taken and the first one left out. 1e-2 would do for fp32; the wider
# gap keeps the expert sets equal in bf16 too, where router logits near 8 are rounded to 1/32.
MIN_ROUTER_GAP = 0.25
# What is left of that gap must still be visible in the bf16 reference run.
MIN_ROUTER_GAP_BF16 = 0.05

# Every fourth token has an embedding of small variance. Not the first: alone in its context it shows only v.
QUIET_EVERY, QUIET_AT = 4, 2


@dataclass(frozen=True)
class Case:
    name: str
    lengths: tuple[int, ...]  # one entry per sequence
    first_position: int = 0
    norm_p: float | None = 1  # moe_normalize_expert_weights
    bf16: bool = False  # also run in bf16

    def prefixes(self) -> list[str]:
        """What stands before the tensor names of each sequence in the case's file."""
        return [""] if len(self.lengths) == 1 else [f"seq{s}." for s in range(len(self.lengths))]


CASES = [
    Case("t1", (1,)),
    Case("t7", (7,), bf16=True),
    # Checked as 33 tokens of prefill and 5 decodes as well.
    Case("t38", (38,), bf16=True),
    Case("batch2", (11, 5)),
    Case("offset30000", (5,), first_position=30000),
    # With p = 1, softmax over the top-k logits equals the right answer. These two tell them apart.
    Case("t7_norm2", (7,), norm_p=2),
    Case("t7_nonorm", (7,), norm_p=None),
]

PREFILL = 33


@dataclass(frozen=True)
class Sequence:
    tokens: np.ndarray  # [T] int32
    positions: np.ndarray  # [T] int32


def positions_of(case: Case, length: int) -> np.ndarray:
    return np.arange(case.first_position, case.first_position + length, dtype=np.int32)


def router_gap(logits: np.ndarray) -> np.ndarray:
    """[T, E] -> [T]: distance between ranks k and k + 1."""
    ordered = -np.sort(-logits, axis=-1)
    return ordered[:, tiny_model.TOP_K - 1] - ordered[:, tiny_model.TOP_K]


def min_router_gap(taps: dict) -> float:
    return float(min(router_gap(v).min() for name, v in taps.items() if name.endswith("router_logits")))


def choose_sequences(case: Case, weights: dict, rng: np.random.Generator) -> list[Sequence]:
    model = NumpyDbrx(tiny_model.config_v4(case.norm_p), weights)
    sequences = []
    for length in case.lengths:
        tokens = np.zeros(0, dtype=np.int32)
        while len(tokens) < length:
            quiet = len(tokens) % QUIET_EVERY == QUIET_AT
            token = rng.integers(0, tiny_model.N_QUIET if quiet else tiny_model.VOCAB)
            longer = np.append(tokens, np.int32(token))
            if min_router_gap(model.forward(longer, positions_of(case, len(longer)))) >= MIN_ROUTER_GAP:
                tokens = longer
        sequences.append(Sequence(tokens, positions_of(case, length)))
    return sequences


def choose_all(seed: int, weights: dict) -> dict[str, list[Sequence]]:
    # One stream per case, so that a new case leaves the tokens of the others alone.
    return {
        case.name: choose_sequences(case, weights, np.random.default_rng([seed, index]))
        for index, case in enumerate(CASES)
    }


def weaknesses(goldens: dict[str, dict[str, np.ndarray]]) -> list[str]:
    """Why these goldens would be a poor test; empty when they are good. Argument: tensors per case."""
    found = []
    for name, tensors in goldens.items():
        gap = min_router_gap(tensors)
        if gap < MIN_ROUTER_GAP * 0.99:
            found.append(f"{name}: router gap {gap:.4f}")
    for i in range(tiny_model.N_LAYERS):
        used = {
            name: set(np.concatenate([v.ravel() for n, v in tensors.items() if n.endswith(f"layers.{i}.expert_ids")]))
            for name, tensors in goldens.items()
        }
        for e in range(tiny_model.N_EXPERTS):
            if not any(e in ids for ids in used.values()):
                found.append(f"layer {i}: expert {e} is never hit")
            if all(e in ids for ids in used.values()):
                found.append(f"layer {i}: expert {e} is never idle")
        qkv = np.concatenate(
            [v for tensors in goldens.values() for n, v in tensors.items() if n.endswith(f"layers.{i}.qkv")]
        )
        for part, columns in {"q": slice(0, 64), "k": slice(64, 96), "v": slice(96, 128)}.items():
            share = np.mean(np.abs(qkv[:, columns]) > tiny_model.CLIP_QKV)
            if not 0.05 < share < 0.5:
                found.append(f"layer {i}: {share:.0%} of {part} is clipped")
    return found
