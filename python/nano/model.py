"""The DBRX architecture in plain PyTorch, written for training a small model on a CPU.

Module names equal the tensor names of a Hugging Face checkpoint. Tokens of all samples lie in one flat list, so no
matrix product works on padding; only attention sees samples, in groups of similar length (see `Batch`).
It is not an inference engine: `Generator` at the end exists to measure the model without a server.
"""

import dataclasses
import functools
import json
import math
import pathlib

import torch
import torch.nn.functional as F
from torch import nn


@functools.cache
def product_type():
    """bf16 where the processor multiplies it, else fp32: emulated bf16 products are many times slower."""
    flags = pathlib.Path("/proc/cpuinfo").read_text().split()
    return torch.bfloat16 if "amx_bf16" in flags or "avx512_bf16" in flags else torch.float32


@dataclasses.dataclass
class Config:
    d_model: int = 256
    n_heads: int = 8
    kv_n_heads: int = 2
    n_layers: int = 6
    ffn_hidden_size: int = 192
    n_experts: int = 16
    top_k: int = 4
    vocab_size: int = 3008
    max_seq_len: int = 2048
    clip_qkv: float = 8
    rope_theta: float = 500000
    balance_weight: float = 0.05

    @property
    def head_dim(self):
        return self.d_model // self.n_heads

    def to_hf(self):
        """config.json in the form DBRX was released with."""
        return dict(
            architectures=["DbrxForCausalLM"],
            attn_config=dict(clip_qkv=self.clip_qkv, kv_n_heads=self.kv_n_heads, model_type="", rope_theta=self.rope_theta),
            d_model=self.d_model, emb_pdrop=0.0,
            ffn_config=dict(ffn_hidden_size=self.ffn_hidden_size, model_type="", moe_jitter_eps=0,
                            moe_loss_weight=self.balance_weight, moe_num_experts=self.n_experts, moe_top_k=self.top_k),
            initializer_range=0.02, max_seq_len=self.max_seq_len, model_type="dbrx", n_heads=self.n_heads,
            n_layers=self.n_layers, output_router_logits=False, resid_pdrop=0.0,
            router_aux_loss_coef=self.balance_weight, tie_word_embeddings=False, torch_dtype="bfloat16",
            use_cache=True, vocab_size=self.vocab_size)

    @staticmethod
    def from_hf(path):
        c = json.loads(open(path).read())
        a, f = c["attn_config"], c["ffn_config"]
        return Config(c["d_model"], c["n_heads"], a["kv_n_heads"], c["n_layers"], f["ffn_hidden_size"], f["moe_num_experts"],
                      f["moe_top_k"], c["vocab_size"], c["max_seq_len"], a["clip_qkv"], a["rope_theta"],
                      f["moe_loss_weight"])


# Sizes that matrix products may have. oneDNN compiles code for every new shape, which takes longer than the product
# itself, so shapes that change with every batch are rounded up to a few sizes.
LENGTHS = [16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024, 1536, 2048]
LOOK_BACK = 7  # the constant part of the keys and queries that look back; below clip_qkv
ROW_STEP = 64  # rows of one expert
SAMPLE_STEP = 4  # samples in an attention group


class Batch:
    """Samples laid end to end, longest last, with the index tables attention needs.

    ids, positions: [tokens]. groups: for samples of similar length, a table [samples, length] of flat token indices,
    padded at the right and below with 0, and the places of its real tokens in the flattened table.
    """

    def __init__(self, samples):
        samples = sorted(samples, key=len)
        lengths = [len(s) for s in samples]
        self.ids = torch.cat([torch.as_tensor(s) for s in samples])
        self.positions = torch.cat([torch.arange(n) for n in lengths])
        self.groups, start, first = [], 0, 0
        sizes = [next(size for size in LENGTHS if size >= n) for n in lengths]
        for i in range(1, len(samples) + 1):
            if i == len(samples) or sizes[i] != sizes[first]:
                rows = -(-(i - first) // SAMPLE_STEP) * SAMPLE_STEP
                table = torch.zeros(rows, sizes[first], dtype=torch.long)
                real = torch.zeros(rows, sizes[first], dtype=torch.bool)
                for row, n in enumerate(lengths[first:i]):
                    table[row, :n] = torch.arange(start, start + n)
                    real[row, :n] = True
                    start += n
                self.groups.append((table, real.flatten().nonzero().flatten()))
                first = i


class Router(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.layer = nn.Linear(c.d_model, c.n_experts, bias=False)


class ExpertWeights(nn.Module):
    """w1, v1, w2, all [experts * ffn_hidden_size, d_model]: w2 is stored in x out and used untransposed."""

    def __init__(self, c):
        super().__init__()
        rows = c.n_experts * c.ffn_hidden_size
        for name in ("w1", "v1", "w2"):
            setattr(self, name, nn.Parameter(torch.empty(rows, c.d_model)))


class ExpertProducts(torch.autograd.Function):
    """silu(x w1^T) * (x v1^T) w2 for rows sorted by expert, with its gradient written out.

    Written by hand because a CPU step is dominated by copies otherwise: every product writes into its place in one
    array, and the elementwise parts run once over all experts. rows [n, d], up [experts, 2 f, d], down [experts, f, d].
    """

    @staticmethod
    def forward(ctx, rows, up, down, ends):
        f = down.shape[1]
        gate_up = rows.new_empty(rows.shape[0], 2 * f)
        for e, (start, end) in enumerate(ends):
            torch.mm(rows[start:end], up[e].t(), out=gate_up[start:end])
        hidden = F.silu(gate_up[:, :f]) * gate_up[:, f:]
        out = torch.empty_like(rows)
        for e, (start, end) in enumerate(ends):
            torch.mm(hidden[start:end], down[e], out=out[start:end])
        ctx.save_for_backward(rows, up, down, gate_up, hidden)
        ctx.ends = ends
        return out

    @staticmethod
    def backward(ctx, grad):
        rows, up, down, gate_up, hidden = ctx.saved_tensors
        f = down.shape[1]
        gate, linear = gate_up[:, :f], gate_up[:, f:]
        grad = grad.contiguous()
        d_hidden, d_down = torch.empty_like(hidden), torch.empty_like(down)
        for e, (start, end) in enumerate(ctx.ends):
            torch.mm(grad[start:end], down[e].t(), out=d_hidden[start:end])
            torch.mm(hidden[start:end].t(), grad[start:end], out=d_down[e])
        d_gate_up = torch.empty_like(gate_up)
        d_gate_up[:, :f] = torch.ops.aten.silu_backward(d_hidden * linear, gate)
        d_gate_up[:, f:] = d_hidden.mul_(F.silu(gate))
        d_rows, d_up = torch.empty_like(rows), torch.empty_like(up)
        for e, (start, end) in enumerate(ctx.ends):
            torch.mm(d_gate_up[start:end], up[e], out=d_rows[start:end])
            torch.mm(d_gate_up[start:end].t(), rows[start:end], out=d_up[e])
        return d_rows, d_up, d_down, None


def select(x, index):
    """Rows of x; index len(x) stands for a row of zeros."""
    return torch.cat([x, x.new_zeros(1, x.shape[1])]).index_select(0, index)


class Spread(torch.autograd.Function):
    """Copies of token rows in expert order; its gradient gathers the k copies of a token, which is faster than adding."""

    @staticmethod
    def forward(ctx, x, source, place, k):
        ctx.save_for_backward(place)
        ctx.k = k
        return select(x, source // k)

    @staticmethod
    def backward(ctx, grad):
        (place,) = ctx.saved_tensors
        copies = grad.index_select(0, place).view(-1, ctx.k, grad.shape[1])
        return sum(copies[:, i] for i in range(ctx.k)), None, None, None


class Combine(torch.autograd.Function):
    """The weighted sum of each token's k expert rows. By hand, since slices in autograd cost a filled copy each."""

    @staticmethod
    def forward(ctx, rows, weights, source, place):
        n, k = weights.shape
        rows = rows.index_select(0, place).view(n, k, -1)
        out = rows[:, 0] * weights[:, :1]
        for i in range(1, k):
            out.addcmul_(rows[:, i], weights[:, i:i + 1])
        ctx.save_for_backward(rows, weights, source)
        return out

    @staticmethod
    def backward(ctx, grad):
        rows, weights, source = ctx.saved_tensors
        d_rows, d_weights = torch.empty_like(rows), torch.empty_like(weights)
        for i in range(weights.shape[1]):
            torch.mul(grad, weights[:, i:i + 1], out=d_rows[:, i])
            d_weights[:, i] = (grad * rows[:, i]).sum(-1)
        return select(d_rows.view(-1, grad.shape[1]), source), d_weights, None, None


def expert_order(chosen, load):
    """Rows sorted by expert, each expert's part rounded up with zero rows.

    chosen: [tokens * k] expert ids. Returns source [rows] (index into chosen, or its length for a zero row),
    place [tokens * k] (the row of each choice) and the (start, end) rows per expert.
    """
    padded = (load + ROW_STEP - 1) // ROW_STEP * ROW_STEP
    ends = padded.cumsum(0)
    starts = ends - padded
    order = chosen.argsort()
    by_expert = chosen[order]
    rows = torch.arange(len(chosen)) - (load.cumsum(0) - load)[by_expert] + starts[by_expert]
    source = torch.full((int(ends[-1]),), len(chosen))
    source[rows] = order
    place = torch.empty_like(order)
    place[order] = rows
    return source, place, list(zip(starts.tolist(), ends.tolist()))


class MoE(nn.Module):
    """Dropless mixture of experts: every token gets exactly its top-k experts, whatever the load."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.router = Router(c)
        self.experts = nn.Module()
        self.experts.mlp = ExpertWeights(c)

    def forward(self, x, dtype):
        """x: [tokens, d_model] fp32. Returns the output and (tokens per expert, mean probability per expert)."""
        c = self.c
        # The router stays in fp32: its product is tiny and its choice is not smooth.
        probs = F.softmax(self.router.layer(x), dim=-1)
        weights, chosen = probs.topk(c.top_k, dim=-1)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        load = torch.bincount(chosen.flatten(), minlength=c.n_experts)
        source, place, ends = expert_order(chosen.flatten(), load)
        shape = (c.n_experts, c.ffn_hidden_size, c.d_model)
        mlp = self.experts.mlp
        up = torch.cat([mlp.w1.view(shape).to(dtype), mlp.v1.view(shape).to(dtype)], 1)
        rows = Spread.apply(x.to(dtype), source, place, c.top_k)
        out = ExpertProducts.apply(rows, up, mlp.w2.view(shape).to(dtype), ends)
        return Combine.apply(out, weights.to(dtype), source, place), (load, probs.mean(0))


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.Wqkv = nn.Linear(c.d_model, c.d_model + 2 * c.kv_n_heads * c.head_dim, bias=False)
        self.out_proj = nn.Linear(c.d_model, c.d_model, bias=False)

    def forward(self, x, rope, groups, dtype):
        c = self.c
        n, d, kv = x.shape[0], c.head_dim, c.kv_n_heads
        qkv = F.linear(x.to(dtype), self.Wqkv.weight.to(dtype)).clamp(-c.clip_qkv, c.clip_qkv)
        qk, v = qkv.split([(c.n_heads + kv) * d, kv * d], dim=1)
        cos, sin = rope
        a, b = qk.view(n, -1, d).chunk(2, dim=-1)
        qk = torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
        qkv = torch.cat([qk.view(n, -1), v], dim=1)
        outs = []
        for table, real in groups:
            rows, length = table.shape
            g = qkv.index_select(0, table.flatten()).view(rows, length, -1, d).transpose(1, 2)
            q, k, v = g.split([c.n_heads, kv, kv], dim=1)
            # In fp32: torch's fused attention is ten times slower in the gradient of bf16.
            k, v = (x.repeat_interleave(c.n_heads // kv, 1).float() for x in (k, v))
            o = F.scaled_dot_product_attention(q.float(), k, v, is_causal=True).to(dtype)
            outs.append(o.transpose(1, 2).reshape(rows * length, -1).index_select(0, real))
        return F.linear(torch.cat(outs), self.out_proj.weight.to(dtype))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        inner = nn.Module()
        inner.norm_1 = nn.LayerNorm(c.d_model, bias=False)
        inner.attn = Attention(c)
        inner.norm_2 = nn.LayerNorm(c.d_model, bias=False)
        self.norm_attn_norm = inner
        self.ffn = MoE(c)

    def forward(self, x, rope, groups, dtype):
        inner = self.norm_attn_norm
        x = x + inner.attn(inner.norm_1(x), rope, groups, dtype)
        y, load = self.ffn(inner.norm_2(x), dtype)
        return x + y, load


class Dbrx(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.transformer = nn.Module()
        self.transformer.wte = nn.Embedding(c.vocab_size, c.d_model)
        self.transformer.blocks = nn.ModuleList([Block(c) for _ in range(c.n_layers)])
        self.transformer.norm_f = nn.LayerNorm(c.d_model, bias=False)
        self.lm_head = nn.Linear(c.d_model, c.vocab_size, bias=False)

    def init(self, seed=1):
        """Small outputs of every block at the start, so that depth does not hurt; norms at one."""
        generator = torch.Generator().manual_seed(seed)
        depth = 1 / math.sqrt(2 * self.c.n_layers)
        for name, p in self.named_parameters():
            if p.dim() == 1:
                nn.init.ones_(p)
            else:
                std = 0.5 if "wte" in name else 0.02 if "router" in name or "lm_head" in name else self.c.d_model ** -0.5
                if "out_proj" in name or name.endswith("w2"):
                    std *= depth
                with torch.no_grad():
                    p.normal_(0, std, generator=generator)
        self.init_look_back()

    @torch.no_grad()
    def init_look_back(self):
        """Starts query heads 0 and 1 of the first block as heads that look one and two tokens back.

        Copying needs them, and a small model spends a large part of its training on finding them. A direction that all
        embeddings share gives keys and queries a constant part; RoPE turns its products into a function of the distance
        alone, which is greatest at the wanted one.
        """
        c, wqkv = self.c, self.transformer.blocks[0].norm_attn_norm.attn.Wqkv.weight
        shared = torch.ones(c.d_model)
        shared[::2] = -1  # its mean is zero, so LayerNorm keeps it
        self.transformer.wte.weight.add_(0.5 * shared)
        half, pairs = c.head_dim // 2, 3  # the fastest rotations tell near positions apart
        # After LayerNorm the shared part of each entry is 0.5 / sqrt(0.5^2 + 0.5^2).
        row = LOOK_BACK / (c.d_model * 0.5 ** 0.5) * shared
        angle = c.rope_theta ** (-torch.arange(pairs).float() / half)
        for head in range(2):
            query = wqkv[head * c.head_dim:(head + 1) * c.head_dim]
            query.zero_()
            query[:pairs] = torch.cos((head + 1) * angle)[:, None] * row
            query[half:half + pairs] = -torch.sin((head + 1) * angle)[:, None] * row
        key = wqkv[c.d_model:c.d_model + c.head_dim]
        key[:pairs], key[half:half + pairs] = row, 0

    def rope(self, positions, dtype):
        d = self.c.head_dim
        frequency = self.c.rope_theta ** (-torch.arange(0, d, 2).float() / d)
        angle = (positions.float()[:, None] * frequency)[:, None, :]  # [tokens, 1, head_dim / 2]
        return angle.cos().to(dtype), angle.sin().to(dtype)

    def forward(self, batch, dtype=torch.float32):
        """The hidden state after the last norm [tokens, d_model], and (load, mean probability) per layer."""
        x = self.transformer.wte(batch.ids)
        rope = self.rope(batch.positions, dtype)
        loads = []
        for block in self.transformer.blocks:
            x, load = block(x, rope, batch.groups, dtype)
            loads.append(load)
        return self.transformer.norm_f(x), loads

    def logits(self, hidden, dtype=torch.float32):
        return F.linear(hidden.to(dtype), self.lm_head.weight.to(dtype)).float()

    def balance_loss(self, loads, n_tokens):
        """The load-balancing loss of megablocks, before its weight: 1 when every expert gets the same share.

        E / (L T k) * sum over layers and experts of tokens[l, e] * mean probability[l, e].
        """
        c = self.c
        total = sum((n.float() * p).sum() for n, p in loads)
        return total * c.n_experts / (c.n_layers * n_tokens * c.top_k)
