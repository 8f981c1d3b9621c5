"""The tiny DBRX checkpoint: its two config forms, its seeded weights and its files.

Same code paths as the real model at 1/240,000 of its size. Every width differs from every other one
that it could be mistaken for (f != d, H != K, E != H), so a wrong reshape cannot pass unseen.
The library's own init is not used: it gives activations so small that clip, router and eps do nothing.
"""

import json
from pathlib import Path

import numpy as np

D_MODEL = 64
N_HEADS = 4
N_KV_HEADS = 2
HEAD_DIM = D_MODEL // N_HEADS
N_LAYERS = 3
N_EXPERTS = 8
TOP_K = 2
FFN_HIDDEN = 96
VOCAB = 512
ROPE_THETA = 500000
CLIP_QKV = 2.0
N_PARAMS = 546_752
N_TENSORS = 27

# Token ids below this one have embeddings of small variance. Without such rows LayerNorm's eps is lost
# next to a variance of 1, and an engine with the wrong eps would agree with every golden.
N_QUIET = 16
QUIET_STD = 0.02

EOS_TOKEN_IDS = [257, 279]


def config_v4(norm_p: float | None = 1) -> dict:
    """config.json as the released model has it; `norm_p` is moe_normalize_expert_weights."""
    return {
        "architectures": ["DbrxForCausalLM"],
        "model_type": "dbrx",
        "d_model": D_MODEL,
        "n_heads": N_HEADS,
        "n_layers": N_LAYERS,
        "max_seq_len": 32768,
        "vocab_size": VOCAB,
        "resid_pdrop": 0.0,
        "emb_pdrop": 0.0,
        "attn_config": {
            "attn_pdrop": 0.0,
            "clip_qkv": CLIP_QKV,
            "kv_n_heads": N_KV_HEADS,
            "model_type": "",
            "rope_theta": ROPE_THETA,
        },
        "ffn_config": {
            "ffn_act_fn": {"name": "silu"},
            "ffn_hidden_size": FFN_HIDDEN,
            "model_type": "",
            "moe_jitter_eps": 0,
            "moe_loss_weight": 0.05,
            "moe_normalize_expert_weights": norm_p,
            "moe_num_experts": N_EXPERTS,
            "moe_top_k": TOP_K,
        },
        "initializer_range": 0.02,
        "output_router_logits": False,
        "router_aux_loss_coef": 0.05,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "use_cache": True,
    }


def config_v5() -> dict:
    """The same model in the form that transformers v5 writes: theta in rope_parameters, own hidden_size."""
    config = config_v4()
    config["attn_config"] = {
        "attn_pdrop": 0.0,
        "clip_qkv": CLIP_QKV,
        "kv_n_heads": N_KV_HEADS,
        "rope_theta": float(ROPE_THETA),
    }
    config["ffn_config"] = {
        "hidden_size": D_MODEL,
        "ffn_act_fn": {"name": "silu"},
        "ffn_hidden_size": FFN_HIDDEN,
        "moe_jitter_eps": 0.0,
        "moe_loss_weight": 0.05,
        "moe_normalize_expert_weights": 1.0,
        "moe_num_experts": N_EXPERTS,
        "moe_top_k": TOP_K,
    }
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": float(ROPE_THETA)}
    del config["router_aux_loss_coef"], config["torch_dtype"]
    config["dtype"] = "bfloat16"
    return config


def make_weights(seed: int) -> dict[str, np.ndarray]:
    """All 27 tensors, fp32, under the official fused names, drawn in checkpoint order."""
    rng = np.random.default_rng(seed)

    def normal(shape, std):
        return (rng.standard_normal(shape) * std).astype(np.float32)

    def norm_weight():
        return (1.0 + 0.1 * rng.standard_normal(D_MODEL)).astype(np.float32)

    qkv_rows = D_MODEL + 2 * N_KV_HEADS * HEAD_DIM
    expert_rows = N_EXPERTS * FFN_HIDDEN
    weights = {"transformer.wte.weight": normal((VOCAB, D_MODEL), 1.0)}
    weights["transformer.wte.weight"][:N_QUIET] *= np.float32(QUIET_STD)
    for i in range(N_LAYERS):
        block = f"transformer.blocks.{i}."
        weights[block + "norm_attn_norm.norm_1.weight"] = norm_weight()
        # 0.2 puts about a fifth of the qkv entries beyond the clip at 2.0.
        weights[block + "norm_attn_norm.attn.Wqkv.weight"] = normal((qkv_rows, D_MODEL), 0.2)
        weights[block + "norm_attn_norm.attn.out_proj.weight"] = normal((D_MODEL, D_MODEL), 0.1)
        weights[block + "norm_attn_norm.norm_2.weight"] = norm_weight()
        weights[block + "ffn.router.layer.weight"] = normal((N_EXPERTS, D_MODEL), 0.5)
        weights[block + "ffn.experts.mlp.w1"] = normal((expert_rows, D_MODEL), 0.15)
        weights[block + "ffn.experts.mlp.v1"] = normal((expert_rows, D_MODEL), 0.15)
        weights[block + "ffn.experts.mlp.w2"] = normal((expert_rows, D_MODEL), 0.1)
    weights["transformer.norm_f.weight"] = norm_weight()
    weights["lm_head.weight"] = normal((VOCAB, D_MODEL), 0.1)

    assert len(weights) == N_TENSORS
    assert sum(w.size for w in weights.values()) == N_PARAMS
    return weights


def round_to_bf16(x: np.ndarray) -> np.ndarray:
    """Nearest-even bf16 value of finite fp32 numbers, still held as fp32."""
    bits = x.astype(np.float32).view(np.uint32)
    bits = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (bits & np.uint32(0xFFFF0000)).view(np.float32)


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_checkpoint(directory: Path, weights: dict[str, np.ndarray], bf16: bool) -> None:
    """config.json, generation_config.json and model.safetensors; fp32 with the v4 config, bf16 with v5."""
    import torch
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "config.json", config_v5() if bf16 else config_v4())
    write_json(directory / "generation_config.json", {"eos_token_id": EOS_TOKEN_IDS})
    dtype = torch.bfloat16 if bf16 else torch.float32
    tensors = {name: torch.from_numpy(w).to(dtype).contiguous() for name, w in weights.items()}
    # transformers refuses a file without this metadata entry.
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
