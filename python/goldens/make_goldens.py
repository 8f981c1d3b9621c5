"""Makes testdata/tiny, testdata/tiny-bf16 and testdata/goldens; see README.md beside this file.

Seeds are tried from 0 on; the first whose goldens are a good test is taken. Every tensor written has
been checked against the independent NumPy forward, and any disagreement ends the run.
"""

import argparse
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

import cases
import compare
import reference
import tiny_model
from numpy_dbrx import NumpyDbrx

TESTDATA = Path(__file__).resolve().parents[2] / "testdata"
MAX_BYTES = 8_000_000
BF16_TAPS = ("block_out", "router_logits", "expert_ids", "logits")


def golden(case: cases.Case, sequences: list[cases.Sequence], model, weights: dict, weak: list[str]) -> dict:
    """All tensors of one case from the reference, checked against NumPy; adds to `weak` if too noisy."""
    exact = NumpyDbrx(tiny_model.config_v4(case.norm_p), weights)
    own = [reference.run(model, s.tokens, s.positions) for s in sequences]
    tensors = {}
    for prefix, s, taps in zip(case.prefixes(), sequences, own):
        expected = exact.forward(s.tokens, s.positions)
        worst = compare.check_taps(case.name, taps, expected, hidden_limit=compare.NOISE_CEILING)
        report(f"{case.name} {prefix}".strip() + " vs NumPy", worst)
        if worst["hidden"] > compare.HIDDEN_NOISE:
            weak.append(f"{case.name}: fp32 noise {worst['hidden']:.1e}")
        tensors |= {prefix + "tokens": s.tokens, prefix + "positions": s.positions}
        tensors |= {prefix + name: value for name, value in taps.items()}

    if len(sequences) > 1:
        for left in (True, False):
            for taps, alone in zip(reference.run_padded(model, sequences, left), own):
                label = f"{case.name} padded {'left' if left else 'right'}"
                report(label, compare.check_taps(label, taps, alone))
    elif len(sequences[0].tokens) > cases.PREFILL:
        s = sequences[0]
        taps = reference.run_incremental(model, s.tokens, s.positions, cases.PREFILL)
        label = f"{case.name} incremental"
        report(label, compare.check_taps(label, taps, own[0]))
    return tensors


def report(label: str, worst: dict[str, float]) -> None:
    print(f"  {label}: hidden {worst['hidden']:.1e}, logits {worst['logits']:.1e}")


def bf16_golden(case: cases.Case, sequences: list[cases.Sequence], model, weights: dict) -> dict:
    """The few tensors kept of a bf16 run, widened to fp32."""
    (s,) = sequences
    taps = reference.run(model, s.tokens, s.positions)
    rounded = {name: tiny_model.round_to_bf16(w) for name, w in weights.items()}
    exact = NumpyDbrx(tiny_model.config_v4(case.norm_p), rounded).forward(s.tokens, s.positions)
    worst = compare.check_bf16(f"bf16_{case.name}", taps, exact, cases.MIN_ROUTER_GAP_BF16, cases.router_gap)
    print(
        f"  bf16_{case.name} vs NumPy: cosine {worst['cosine']:.6f}, smallest router gap {worst['gap']:.3f}, "
        f"logits {worst['logits']:.3f}"
    )
    kept = {name: value for name, value in taps.items() if name.rsplit(".", 1)[-1] in BF16_TAPS}
    return {"tokens": s.tokens, "positions": s.positions} | kept


def check_bf16_copy(model, directory: Path) -> None:
    """The bf16 model and the bf16 file hold the same numbers, under the same names."""
    import torch
    from safetensors.torch import load_file

    stored = load_file(directory / "model.safetensors")
    loaded = model.state_dict()
    assert set(stored) == set(loaded)
    assert all(torch.equal(stored[name], loaded[name]) for name in stored)


def attempt(seed: int) -> tuple[dict[str, dict[str, np.ndarray]], list[str]]:
    """Writes the checkpoint of `seed`; its goldens by file name, and what is weak about them."""
    weights = tiny_model.make_weights(seed)
    sequences = cases.choose_all(seed, weights)
    tiny_model.write_checkpoint(TESTDATA / "tiny", weights, bf16=False)
    tiny_model.write_checkpoint(TESTDATA / "tiny-bf16", weights, bf16=True)
    models = {p: reference.load(TESTDATA / "tiny", p) for p in {case.norm_p for case in cases.CASES}}
    check_inv_freq(models[1], weights)
    files, weak = {}, []
    for case in cases.CASES:
        files[case.name] = golden(case, sequences[case.name], models[case.norm_p], weights, weak)
    weak += cases.weaknesses(files)

    bf16_model = reference.load(TESTDATA / "tiny", bf16=True)
    check_bf16_copy(bf16_model, TESTDATA / "tiny-bf16")
    try:
        for case in cases.CASES:
            if case.bf16:
                files["bf16_" + case.name] = bf16_golden(case, sequences[case.name], bf16_model, weights)
    except compare.Mismatch as mismatch:
        # Another expert chosen under bf16 rounding is the seed's bad luck, not a fault.
        weak.append(str(mismatch))
    return files, weak


def check_inv_freq(model, weights: dict) -> None:
    ours = NumpyDbrx(tiny_model.config_v4(), weights).inv_freq()
    theirs = model.transformer.blocks[0].norm_attn_norm.attn.rotary_emb.inv_freq.numpy()
    assert np.array_equal(ours, theirs), (ours, theirs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-seed", type=int, default=0)
    seed = parser.parse_args().first_seed
    while True:
        print(f"seed {seed}")
        files, weak = attempt(seed)
        if not weak:
            break
        print("  rejected: " + "; ".join(weak))
        seed += 1

    directory = TESTDATA / "goldens"
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("*.safetensors"):
        old.unlink()
    for name, tensors in files.items():
        # One entry only: safetensors writes several in random order, and the file should remake bit for bit.
        save_file(tensors, directory / f"{name}.safetensors", metadata={"seed": str(seed)})

    total = 0
    for path in sorted(p for p in TESTDATA.rglob("*") if p.is_file()):
        total += path.stat().st_size
        print(f"{path.stat().st_size:9d} {path.relative_to(TESTDATA)}")
    print(f"{total:9d} in all")
    assert total < MAX_BYTES


if __name__ == "__main__":
    main()
