"""Tests of the goldens: they agree with two independent models, and they catch every known mistake.

Run as `python -m unittest -v` in this folder. The NumPy half needs numpy and safetensors only; the rest
is skipped where the pinned torch and transformers are not installed.
"""

import json
import unittest
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

import cases
import compare
import tiny_model
from mutations import MUTATIONS, ROPE_PRECISION_MUTATIONS
from numpy_dbrx import NumpyDbrx

try:
    import reference
except ImportError:
    reference = None

TESTDATA = Path(__file__).resolve().parents[2] / "testdata"
# An engine may be off by compare.LOGITS_ABSOLUTE; a mistake must move some logit by far more.
MUST_MOVE = 20 * compare.LOGITS_ABSOLUTE

WEIGHTS = load_file(TESTDATA / "tiny" / "model.safetensors")
CONFIG = json.loads((TESTDATA / "tiny" / "config.json").read_text())


def golden(name: str) -> dict[str, np.ndarray]:
    return load_file(TESTDATA / "goldens" / f"{name}.safetensors")


def sequences_of(case: cases.Case, tensors: dict):
    """(tokens, positions, taps) of each sequence in a case's file."""
    for prefix in case.prefixes():
        own = {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}
        yield own.pop("tokens"), own.pop("positions"), own


def config_of(case: cases.Case) -> dict:
    return CONFIG | {"ffn_config": CONFIG["ffn_config"] | {"moe_normalize_expert_weights": case.norm_p}}


def logits_movement(model_class, case: cases.Case) -> float:
    model = model_class(config_of(case), WEIGHTS)
    return max(
        float(np.abs(model.forward(tokens, positions)["logits"] - taps["logits"]).max())
        for tokens, positions, taps in sequences_of(case, golden(case.name))
    )


class Goldens(unittest.TestCase):
    def test_numpy_agrees_with_every_stored_tensor(self):
        for case in cases.CASES:
            model = NumpyDbrx(config_of(case), WEIGHTS)
            for tokens, positions, taps in sequences_of(case, golden(case.name)):
                compare.check_taps(case.name, taps, model.forward(tokens, positions))

    def test_stored_tensors_have_the_documented_types(self):
        for path in (TESTDATA / "goldens").glob("*.safetensors"):
            for name, value in load_file(path).items():
                integer = name.endswith(("tokens", "positions", "expert_ids"))
                self.assertEqual(value.dtype, np.int32 if integer else np.float32, f"{path.name} {name}")

    def test_goldens_show_every_expert_the_clip_and_clear_router_decisions(self):
        self.assertEqual(cases.weaknesses({case.name: golden(case.name) for case in cases.CASES}), [])

    def test_positions_and_lengths_are_those_of_the_cases(self):
        for case in cases.CASES:
            sequences = list(sequences_of(case, golden(case.name)))
            self.assertEqual(tuple(len(tokens) for tokens, _, _ in sequences), case.lengths)
            for tokens, positions, _ in sequences:
                np.testing.assert_array_equal(positions, cases.positions_of(case, len(tokens)))

    def test_expert_ids_ascend_and_weights_sum_to_one(self):
        for case in cases.CASES:
            for _, _, taps in sequences_of(case, golden(case.name)):
                for i in range(tiny_model.N_LAYERS):
                    ids = taps[f"layers.{i}.expert_ids"]
                    self.assertTrue(np.all(np.diff(ids, axis=-1) > 0))
                    if case.norm_p:
                        norms = np.linalg.norm(taps[f"layers.{i}.expert_weights"], ord=case.norm_p, axis=-1)
                        np.testing.assert_allclose(norms, 1, atol=1e-6)

    def test_the_seed_still_makes_the_same_checkpoint_and_tokens(self):
        from safetensors import safe_open

        with safe_open(TESTDATA / "goldens" / "t1.safetensors", framework="numpy") as file:
            seed = int(file.metadata()["seed"])
        weights = tiny_model.make_weights(seed)
        self.assertEqual(set(weights), set(WEIGHTS))
        for name, w in weights.items():
            np.testing.assert_array_equal(w, WEIGHTS[name], name)
        for name, sequences in cases.choose_all(seed, weights).items():
            case = next(c for c in cases.CASES if c.name == name)
            for s, (tokens, _, _) in zip(sequences, sequences_of(case, golden(name)), strict=True):
                np.testing.assert_array_equal(s.tokens, tokens)

    def test_bf16_goldens_agree_with_numpy_on_the_rounded_weights(self):
        rounded = {name: tiny_model.round_to_bf16(w) for name, w in WEIGHTS.items()}
        for case in cases.CASES:
            if case.bf16:
                taps = golden("bf16_" + case.name)
                exact = NumpyDbrx(config_of(case), rounded).forward(taps["tokens"], taps["positions"])
                label = "bf16_" + case.name
                compare.check_bf16(label, taps, {n: exact[n] for n in taps if n in exact},
                                   cases.MIN_ROUTER_GAP_BF16, cases.router_gap)


class Mutations(unittest.TestCase):
    def test_every_mutation_moves_the_logits_of_some_case(self):
        names = [case.name for case in cases.CASES]
        width = max(map(len, MUTATIONS))
        print(f"\nlargest movement of any logit; an engine is allowed {compare.LOGITS_ABSOLUTE:.0e}")
        print(f"{'':{width}} " + " ".join(f"{name:>11}" for name in names))
        rows = {"none": NumpyDbrx} | MUTATIONS
        for mutation, model_class in rows.items():
            moved = [logits_movement(model_class, case) for case in cases.CASES]
            print(f"{mutation:{width}} " + " ".join(f"{m:11.1e}" for m in moved))
            with self.subTest(mutation):
                if mutation == "none":
                    self.assertLess(max(moved), compare.LOGITS_ABSOLUTE)
                else:
                    self.assertGreater(max(moved), MUST_MOVE)

    def test_rope_precision_shows_in_the_rotated_queries_at_a_high_position(self):
        case = next(c for c in cases.CASES if c.name == "offset30000")
        ((tokens, positions, taps),) = sequences_of(case, golden(case.name))
        name = "layers.0.q_rope"
        for mutation, model_class in ROPE_PRECISION_MUTATIONS.items():
            mutated = model_class(CONFIG, WEIGHTS).forward(tokens, positions)
            moved = compare.error(name, mutated[name], taps[name])
            logits = compare.error("logits", mutated["logits"], taps["logits"])
            print(f"\n{mutation}: q_rope of {case.name} moves by {moved:.1e}, its logits by {logits:.1e}")
            with self.subTest(mutation):
                self.assertGreater(moved, 10 * compare.HIDDEN_RELATIVE)


@unittest.skipIf(reference is None, "torch and transformers are not installed")
class Reference(unittest.TestCase):
    def test_reference_agrees_with_every_stored_tensor(self):
        models = {p: reference.load(TESTDATA / "tiny", p) for p in {case.norm_p for case in cases.CASES}}
        for case in cases.CASES:
            for tokens, positions, taps in sequences_of(case, golden(case.name)):
                compare.check_taps(case.name, reference.run(models[case.norm_p], tokens, positions), taps)

    def test_numpy_inv_freq_is_the_references_bit_for_bit(self):
        model = reference.load(TESTDATA / "tiny")
        theirs = model.transformer.blocks[0].norm_attn_norm.attn.rotary_emb.inv_freq.numpy()
        np.testing.assert_array_equal(NumpyDbrx(CONFIG, WEIGHTS).inv_freq(), theirs)


if __name__ == "__main__":
    unittest.main()
