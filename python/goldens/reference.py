"""The reference: transformers' DbrxForCausalLM in eager mode, tapped with forward hooks.

Only a version from before the 2025 refactor of its DBRX code will do: that one transposed the expert
products and sized the router by the FFN width. load() refuses anything that does not look right.
"""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import AutoConfig, DbrxForCausalLM
from transformers.cache_utils import DynamicCache
from transformers.models.dbrx import modeling_dbrx

import tiny_model

TRANSFORMERS_VERSION = "4.51.3"
TORCH_VERSION = "2.7.1"


def load(directory: Path, norm_p: float | None = 1, bf16: bool = False) -> DbrxForCausalLM:
    """The model in `directory` (v4 config, fp32 file), after checking that the modelling code is sound."""
    assert transformers.__version__ == TRANSFORMERS_VERSION, transformers.__version__
    assert torch.__version__.split("+")[0] == TORCH_VERSION, torch.__version__
    # One thread: the goldens must not depend on how many cores the machine has.
    torch.set_num_threads(1)
    config = AutoConfig.from_pretrained(directory)
    config.ffn_config.moe_normalize_expert_weights = norm_p
    # The dtype must be given here: a later model.bfloat16() would round inv_freq as well.
    model = DbrxForCausalLM.from_pretrained(
        directory,
        config=config,
        torch_dtype=torch.bfloat16 if bf16 else torch.float32,
        attn_implementation="eager",
    ).eval()

    assert type(model.transformer.blocks[0].norm_attn_norm.attn) is modeling_dbrx.DbrxAttention
    for block in model.transformer.blocks:
        router = block.ffn.router
        assert router.layer.weight.shape == (tiny_model.N_EXPERTS, tiny_model.D_MODEL)
        assert router.moe_normalize_expert_weights == norm_p
        # The refactored class lost this method's second and third matrix argument.
        names = modeling_dbrx.DbrxExpertGLU.forward.__code__.co_varnames[:5]
        assert names == ("self", "x", "expert_w1", "expert_v1", "expert_w2"), names
        attn = block.norm_attn_norm.attn
        assert attn.clip_qkv == tiny_model.CLIP_QKV
        inv_freq = attn.rotary_emb.inv_freq
        assert inv_freq.dtype == torch.float32
        expected = tiny_model.ROPE_THETA ** (-2 / tiny_model.HEAD_DIM)
        assert abs(float(inv_freq[1]) / expected - 1) < 1e-6, (float(inv_freq[1]), expected)
        assert block.norm_attn_norm.norm_1.eps == block.norm_attn_norm.norm_2.eps == 1e-5
    assert model.transformer.norm_f.eps == 1e-5
    assert model.dtype == (torch.bfloat16 if bf16 else torch.float32)
    assert not any(name.endswith("bias") for name, _ in model.named_parameters())
    return model


@contextmanager
def tapped(model: DbrxForCausalLM):
    """Yields a dict that every forward inside the block fills with the golden tensors, [B * T, ...]."""
    taps: dict[str, torch.Tensor] = {}
    handles = []
    layer = 0  # the block being run, for the rotary function, which is shared by all of them

    def flat(x):
        return x.detach().reshape(-1, x.shape[-1])

    def keep(name):
        return lambda module, args, output: taps.__setitem__(name, flat(output))

    def on_block(i, block):
        t = f"layers.{i}."
        expert_calls = []

        def enter(module, args):
            nonlocal layer
            layer = i
            expert_calls.clear()

        def on_values(module, args):
            # The rotary module gets the value heads [B, K, T, D] only for their dtype: a free look at them.
            taps[t + "v"] = heads_to_rows(args[0])

        def on_router(module, args, output):
            taps[t + "router_probs"] = output[0]
            taps[t + "top_weights"], taps[t + "top_ids"] = output[1], output[2]

        def on_out_proj(module, args, output):
            taps[t + "attention"], taps[t + "attention_out"] = flat(args[0]), flat(output)

        def on_expert(module, args, output):
            expert_calls.append(output)

        def leave(module, args, output):
            taps[t + "block_out"] = flat(output[0])
            finish_experts(taps, t, expert_calls)
            taps[t + "qkv_clipped"] = torch.cat([taps.pop(t + n) for n in ("q", "k", "v")], dim=-1)

        grouped, ffn = block.norm_attn_norm, block.ffn
        handles.extend(
            [
                block.register_forward_pre_hook(enter),
                grouped.norm_1.register_forward_hook(keep(t + "norm_1")),
                grouped.attn.Wqkv.register_forward_hook(keep(t + "qkv")),
                grouped.attn.rotary_emb.register_forward_pre_hook(on_values),
                grouped.attn.out_proj.register_forward_hook(on_out_proj),
                grouped.norm_2.register_forward_hook(keep(t + "norm_2")),
                ffn.router.layer.register_forward_hook(keep(t + "router_logits")),
                ffn.router.register_forward_hook(on_router),
                ffn.experts.mlp.register_forward_hook(on_expert),
                block.register_forward_hook(leave),
            ]
        )

    original = modeling_dbrx.apply_rotary_pos_emb

    def rotary(q, k, cos, sin, *args, **kwargs):
        rotated = original(q, k, cos, sin, *args, **kwargs)
        t = f"layers.{layer}."
        for name, value in zip(("q", "k", "q_rope", "k_rope"), (q, k, *rotated)):
            taps[t + name] = heads_to_rows(value)
        return rotated

    for i, block in enumerate(model.transformer.blocks):
        on_block(i, block)
    handles.append(model.transformer.norm_f.register_forward_hook(keep("norm_f")))
    handles.append(model.lm_head.register_forward_hook(keep("logits")))
    modeling_dbrx.apply_rotary_pos_emb = rotary
    try:
        yield taps
    finally:
        modeling_dbrx.apply_rotary_pos_emb = original
        for handle in handles:
            handle.remove()


def heads_to_rows(x: torch.Tensor) -> torch.Tensor:
    """[B, heads, T, D] -> [B * T, heads * D]."""
    batch, heads, length, dim = x.shape
    return x.detach().transpose(1, 2).reshape(batch * length, heads * dim)


def finish_experts(taps: dict, t: str, expert_calls: list[torch.Tensor]) -> None:
    """Sorts the router's choice by expert id and puts each expert's rows where their tokens are."""
    top_ids, top_weights = taps.pop(t + "top_ids"), taps.pop(t + "top_weights")
    ids, order = torch.sort(top_ids, dim=-1)
    taps[t + "expert_ids"] = ids
    taps[t + "expert_weights"] = top_weights.gather(-1, order)

    # The model calls the experts in ascending order, skips idle ones, and gathers an expert's tokens by
    # rank in the top-k first, by row second.
    hit = torch.unique(ids).tolist()
    assert len(hit) == len(expert_calls), (hit, len(expert_calls))
    out = torch.zeros(*ids.shape, expert_calls[0].shape[-1], dtype=expert_calls[0].dtype)
    for expert, rows_out in zip(hit, expert_calls):
        _, rows = torch.where((top_ids == expert).T)
        assert len(rows) == len(rows_out)
        out[rows, torch.where(ids[rows] == expert)[1]] = rows_out
    taps[t + "expert_out"] = out


def to_numpy(taps: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {
        name: np.ascontiguousarray(
            value.to(torch.float32).numpy() if value.is_floating_point() else value.numpy().astype(np.int32)
        )
        for name, value in taps.items()
    }


@torch.no_grad()
def run(model: DbrxForCausalLM, tokens: np.ndarray, positions: np.ndarray) -> dict[str, np.ndarray]:
    """One sequence, one prefill, no cache."""
    with tapped(model) as taps:
        model(input_ids=as_batch(tokens), position_ids=as_batch(positions), use_cache=False)
        return to_numpy(taps)


@torch.no_grad()
def run_incremental(model: DbrxForCausalLM, tokens, positions, prefill: int) -> dict[str, np.ndarray]:
    """The same sequence as one prefill of `prefill` tokens and one decode for each of the others."""
    cache = DynamicCache()
    pieces = []
    steps = [slice(0, prefill)] + [slice(p, p + 1) for p in range(prefill, len(tokens))]
    with tapped(model) as taps:
        for step in steps:
            model(
                input_ids=as_batch(tokens[step]),
                position_ids=as_batch(positions[step]),
                past_key_values=cache,
                use_cache=True,
            )
            pieces.append(to_numpy(taps))
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


@torch.no_grad()
def run_padded(model: DbrxForCausalLM, sequences, left: bool) -> list[dict[str, np.ndarray]]:
    """All sequences as one padded batch; what each one's own rows gave, without the padding."""
    longest = max(len(s.tokens) for s in sequences)
    tokens = np.zeros((len(sequences), longest), dtype=np.int64)
    mask = np.zeros_like(tokens)
    for row, s in enumerate(sequences):
        where = slice(longest - len(s.tokens), longest) if left else slice(0, len(s.tokens))
        tokens[row, where], mask[row, where] = s.tokens, 1
    # What generate() does: count the real tokens; padding rows get position 1, which nobody reads.
    positions = np.where(mask == 1, mask.cumsum(axis=-1) - 1, 1)
    with tapped(model) as taps:
        model(
            input_ids=torch.from_numpy(tokens),
            attention_mask=torch.from_numpy(mask),
            position_ids=torch.from_numpy(positions),
            use_cache=False,
        )
        flat = to_numpy(taps)
    own_rows = [row * longest + np.flatnonzero(mask[row]) for row in range(len(sequences))]
    return [{name: value[rows] for name, value in flat.items()} for rows in own_rows]


def as_batch(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.int64))[None, :]
