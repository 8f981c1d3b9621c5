#!/usr/bin/env python3
"""Proves that the golden tests notice the known ways to get DBRX wrong.

Each mutation below is one mistake that other engines have made, written as text replacements in our own sources. The
tree is copied to build/mutations, each mutation is built there, and the golden tests must fail. A mutation that no
test catches, or whose text is no longer in the source, makes this script fail.

    python3 scripts/mutations/run.py [name ...]      (needs a finished scripts/test.sh; about 5 minutes)
"""

import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPY = ROOT / "build" / "mutations"
MODEL = "src/model/"
KERNELS = "src/kernels/"

# name -> [(file, text, replacement)]
MUTATIONS = {
    "RMS instead of LayerNorm": [
        (KERNELS + "norm/norm_scalar.cc", "const float mean = sum_lanes(lanes) / d;", "const float mean = 0 * sum_lanes(lanes);"),
    ],
    "clip after RoPE": [
        (MODEL + "dbrx.cc", "    if (config_.clip_qkv) clip(context, qkv, *config_.clip_qkv);\n", ""),
        (MODEL + "dbrx.cc", '    tap(at.output, at.layer, "q_rope", q);',
         '    if (config_.clip_qkv) clip(context, qkv, *config_.clip_qkv);\n    tap(at.output, at.layer, "q_rope", q);'),
    ],
    "clip only on Q and K": [
        (MODEL + "dbrx.cc", "clip(context, qkv, *config_.clip_qkv)",
         "clip(context, qkv.columns(0, q_dim + kv_dim), *config_.clip_qkv)"),
    ],
    "interleaved RoPE": [
        (KERNELS + "rope/rope.cc", "const float low = x[j];\n    const float high = x[j + half];\n    x[j] =",
         "const float low = x[2 * j];\n    const float high = x[2 * j + 1];\n    x[2 * j] ="),
        (KERNELS + "rope/rope.cc", "x[j + half] = high", "x[2 * j + 1] = high"),
    ],
    "theta 10000": [
        (MODEL + "dbrx.cc", "config_.head_dim, config_.rope_theta)", "config_.head_dim, 10000)"),
    ],
    "KV head h % K": [
        (KERNELS + "attention/attention.cc", "const int64_t column = kv_head * group * cache.head_dim;",
         "const int64_t column = kv_head * cache.head_dim;"),
        (KERNELS + "attention/attention.cc", "  kernel.run(task);",
         "  task.n_heads = 1;\n  for (int64_t h = 0; h < group; ++h) {\n    kernel.run(task);\n"
         "    task.q += cache.n_kv_heads * cache.head_dim;\n    task.out += cache.n_kv_heads * cache.head_dim;\n  }"),
    ],
    "w1 and v1 swapped": [
        (MODEL + "dbrx_source.cc", "rows(w1, e * f, f, d), rows(v1, e * f, f, d)", "rows(v1, e * f, f, d), rows(w1, e * f, f, d)"),
    ],
    "w2 transposed-reshaped": [
        (MODEL + "dbrx_source.cc", "transposed_rows(w2, e * f, d, f)", "rows(w2, e * d, d, f)"),
    ],
    "no renormalisation": [
        (MODEL + "dbrx.cc", ".norm_p = config_.router_norm_p,", ".norm_p = 0,"),
    ],
    "top-k before softmax, no norm": [
        (KERNELS + "moe/route.cc", "if (args.norm_p == 0) return;",
         "norm = 0;\n  for (int64_t j = 0; j < k; ++j) norm += weights[j];"),
        (KERNELS + "moe/route.cc", "  if (args.norm_p == 2) norm = std::sqrt(norm);\n", ""),
    ],
    "weight before activation": [
        (KERNELS + "moe/experts.cc", "// hidden = silu(gate x) * up x for",
         "const ExpertsArgs* mutated = nullptr;\n// hidden = silu(gate x) * up x for"),
        (KERNELS + "moe/experts.cc", "  multiply_rows(\n      *group.kernel, gate,",
         "  int64_t next = 0;\n  multiply_rows(\n      *group.kernel, gate,"),
        (KERNELS + "moe/experts.cc", "{ moe.silu_mul(values,",
         "{\n        const int64_t slot = group.slots[static_cast<size_t>(next++)];\n"
         "        for (int64_t c = 0; c < n_outputs; ++c) values[c] *= mutated->weights.row(slot / mutated->ids.cols)[slot % mutated->ids.cols];\n"
         "        moe.silu_mul(values,"),
        (KERNELS + "moe/experts.cc", "args.weights.row(row)[j], args.y.cols", "1.0F, args.y.cols"),
        (KERNELS + "moe/experts.cc", "  check(args);\n  if (args.x.rows == 0) return;",
         "  check(args);\n  mutated = &args;\n  if (args.x.rows == 0) return;"),
    ],
    "norm_2 before the residual add": [
        (MODEL + "dbrx.cc", "    add(context, x, a);\n",
         "    layer_norm(context, {.x = a, .weight = layer.norm_2.data(), .eps = config_.norm_eps, .y = a});\n    add(context, x, a);\n"),
        (MODEL + "dbrx.cc", "layer_norm(context, {.x = x, .weight = layer.norm_2.data(), .eps = config_.norm_eps, .y = m});",
         "std::memcpy(m.data, x.data, static_cast<size_t>(x.rows * x.cols) * sizeof(float));"),
    ],
    "eps 1e-6": [(MODEL + "dbrx_config.cc", "kNormEps = 1e-5F", "kNormEps = 1e-6F")],
    "eps 1e-12": [(MODEL + "dbrx_config.cc", "kNormEps = 1e-5F", "kNormEps = 1e-12F")],
    "expert-minor row order": [
        (MODEL + "dbrx_source.cc", "{rows(w1, e * f, f, d),",
         "{[&] { LinearSource s = rows(w1, e, f, d); s.out_stride = config_.n_experts * d; return s; }(),"),
    ],
}


def run(*command, **options):
    return subprocess.run(command, cwd=COPY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def prepare():
    COPY.mkdir(parents=True, exist_ok=True)
    for name in ("src", "cmake", "testdata", "CMakeLists.txt", "CMakePresets.json"):
        copy_changed(ROOT / name, COPY / name)
    for command in (("cmake", "--preset", "release", "-DDBRX_TESTS=ON"), ("ninja", "-C", "build/release", "test_model")):
        result = run(*command)
        if result.returncode != 0:
            sys.exit(result.stdout + "\nthe tree does not build as it is")
    if golden_tests().returncode != 0:
        sys.exit("the golden tests fail without any mutation")


def copy_changed(source, target):
    """Makes target the same as source. What is the same already keeps its time, and what is not is new: an object that
    was built from a mutation is older than either."""
    if source.is_dir():
        target.mkdir(exist_ok=True)
        names = {path.name for path in source.iterdir()}
        for path in target.iterdir():
            if path.name not in names:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name in names:
            copy_changed(source / name, target / name)
    elif not target.exists() or target.read_bytes() != source.read_bytes():
        shutil.copyfile(source, target)
        shutil.copymode(source, target)


def golden_tests():
    return run("build/release/test_model", "--gtest_filter=*Golden*", "--gtest_brief=1")


def caught(replacements):
    """Applies, builds, tests and takes back. Returns how the mutation ended."""
    originals = {}
    try:
        for name, text, replacement in replacements:
            path = COPY / name
            content = path.read_text()
            originals.setdefault(path, content)
            if content.count(text) != 1:
                return f"STALE: {name} has {content.count(text)} times: {text!r}"
            path.write_text(content.replace(text, replacement))
        build = run("ninja", "-C", "build/release", "test_model")
        if build.returncode != 0:
            return "STALE: does not build\n" + build.stdout[-2000:]
        tests = golden_tests()
        if tests.returncode == 0:
            return "MISSED"
        return "caught" if "[  FAILED  ]" in tests.stdout else "CRASHED\n" + tests.stdout[-2000:]
    finally:
        for path, content in originals.items():
            path.write_text(content)


def main():
    names = sys.argv[1:] or list(MUTATIONS)
    prepare()
    bad = 0
    for name in names:
        start = time.monotonic()
        outcome = caught(MUTATIONS[name])
        bad += outcome != "caught"
        print(f"{name:34} {outcome} ({time.monotonic() - start:.0f} s)", flush=True)
    print(f"{len(names) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
