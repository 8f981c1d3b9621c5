"""DBRX's forward pass in plain NumPy, written from the published description of the model alone.

It shares no code with transformers, so the two agreeing is evidence about both. Everything runs in
float64 except the rotary angles, which the model defines as a product of two fp32 numbers.
Each step that an engine could get wrong is a method of its own: mutations.py overrides them one by one.
"""

import numpy as np


class NumpyDbrx:
    """One sequence at a time, no cache. `weights` uses the checkpoint's names; `config` is the v4 form."""

    eps = 1e-5

    def __init__(self, config: dict, weights: dict[str, np.ndarray]):
        attn, ffn = config["attn_config"], config["ffn_config"]
        self.weights = {name: w.astype(np.float64) for name, w in weights.items()}
        self.d_model = config["d_model"]
        self.n_layers = config["n_layers"]
        self.n_heads = config["n_heads"]
        self.n_kv_heads = attn["kv_n_heads"]
        self.head_dim = self.d_model // self.n_heads
        self.clip = attn["clip_qkv"]
        self.theta = attn["rope_theta"]
        self.n_experts = ffn["moe_num_experts"]
        self.top_k = ffn["moe_top_k"]
        self.ffn_hidden = ffn["ffn_hidden_size"]
        self.norm_p = ffn.get("moe_normalize_expert_weights", 1.0)  # 1.0 is the published configuration's default

    def forward(self, tokens: np.ndarray, positions: np.ndarray) -> dict[str, np.ndarray]:
        """tokens and positions: [T]. Returns every tap under the name that it has in the golden files."""
        taps = {}
        x = self.weights["transformer.wte.weight"][tokens]
        for i in range(self.n_layers):
            x = self.block(i, x, positions, taps)
        taps["norm_f"] = self.norm(x, "transformer.norm_f.weight")
        taps["logits"] = taps["norm_f"] @ self.weights["lm_head.weight"].T
        return taps

    def block(self, i: int, x: np.ndarray, positions: np.ndarray, taps: dict) -> np.ndarray:
        name = f"transformer.blocks.{i}.norm_attn_norm."
        tap = f"layers.{i}."
        a = taps[tap + "norm_1"] = self.norm(x, name + "norm_1.weight")
        attention_out = self.attention(i, a, positions, taps)
        x, m = self.add_and_norm(x, attention_out, name + "norm_2.weight")
        taps[tap + "norm_2"] = m
        taps[tap + "block_out"] = x + self.mixture(i, m, taps)
        return taps[tap + "block_out"]

    def add_and_norm(self, x, attention_out, norm_name):
        """The residual stream after attention, and the mixture's input."""
        x = x + attention_out
        return x, self.norm(x, norm_name)

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        return centred / np.sqrt(variance + self.eps) * self.weights[name]

    # --- attention -------------------------------------------------------------------------------

    def attention(self, i: int, a: np.ndarray, positions: np.ndarray, taps: dict) -> np.ndarray:
        name = f"transformer.blocks.{i}.norm_attn_norm.attn."
        tap = f"layers.{i}."
        n_tokens = a.shape[0]
        qkv = taps[tap + "qkv"] = a @ self.weights[name + "Wqkv.weight"].T
        clipped = taps[tap + "qkv_clipped"] = self.clip_qkv(qkv)
        q, k, v = self.split(clipped)
        q, k = self.rotate(q, k, positions)
        taps[tap + "q_rope"] = q.reshape(n_tokens, -1)
        taps[tap + "k_rope"] = k.reshape(n_tokens, -1)

        future = np.triu(np.ones((n_tokens, n_tokens), dtype=bool), k=1)
        heads = []
        for h in range(self.n_heads):
            g = self.kv_head(h)
            scores = q[:, h] @ k[:, g].T / np.sqrt(self.head_dim)
            heads.append(softmax(np.where(future, -np.inf, scores)) @ v[:, g])
        taps[tap + "attention"] = np.concatenate(heads, axis=-1)
        taps[tap + "attention_out"] = taps[tap + "attention"] @ self.weights[name + "out_proj.weight"].T
        return taps[tap + "attention_out"]

    def clip_qkv(self, qkv: np.ndarray) -> np.ndarray:
        return qkv if self.clip is None else np.clip(qkv, -self.clip, self.clip)

    def split(self, qkv: np.ndarray):
        """[T, d + 2*K*D] -> q [T, H, D], k and v [T, K, D]."""
        kv_width = self.n_kv_heads * self.head_dim
        q, k, v = np.split(qkv, [self.d_model, self.d_model + kv_width], axis=-1)
        return tuple(part.reshape(len(qkv), -1, self.head_dim) for part in (q, k, v))

    def rotate(self, q, k, positions):
        cos, sin = self.rope_table(positions)
        return rotate_half_split(q, cos, sin), rotate_half_split(k, cos, sin)

    def inv_freq(self) -> np.ndarray:
        """[D/2] fp32, bit for bit torch's: a correctly rounded fp32 power, then its fp32 inverse.

        The power goes through float64 because NumPy's fp32 power is up to 2 ulp off.
        """
        exponent = np.arange(0, self.head_dim, 2) / self.head_dim
        return np.float32(1) / (float(self.theta) ** exponent).astype(np.float32)

    def rope_table(self, positions):
        """cos and sin, [T, 1, D/2]. Rounding the angle to fp32 moves it by 2e-4 radians at position 30000."""
        angle = (positions.astype(np.float32)[:, None] * self.inv_freq()[None, :]).astype(np.float64)
        return np.cos(angle)[:, None, :], np.sin(angle)[:, None, :]

    def kv_head(self, h: int) -> int:
        return h // (self.n_heads // self.n_kv_heads)

    # --- mixture of experts ----------------------------------------------------------------------

    def mixture(self, i: int, m: np.ndarray, taps: dict) -> np.ndarray:
        tap = f"layers.{i}."
        z = taps[tap + "router_logits"] = m @ self.weights[f"transformer.blocks.{i}.ffn.router.layer.weight"].T
        taps[tap + "router_probs"] = softmax(z)
        ids, t = self.route(z)
        taps[tap + "expert_ids"], taps[tap + "expert_weights"] = ids.astype(np.int32), t
        y = np.zeros((*ids.shape, self.d_model))
        out = np.zeros_like(m)
        for row in range(len(m)):
            for slot in range(self.top_k):
                contribution, y[row, slot] = self.expert(i, ids[row, slot], m[row], t[row, slot])
                out[row] += contribution
        taps[tap + "expert_out"] = y
        return out

    def route(self, z: np.ndarray):
        """Expert ids [T, k], ascending, and their weights [T, k]."""
        ids = self.top_ids(z)
        return ids, self.normalize(np.take_along_axis(softmax(z), ids, axis=-1))

    def top_ids(self, z: np.ndarray) -> np.ndarray:
        # A stable sort lets the lowest index win a tie.
        return np.sort(np.argsort(-z, axis=-1, kind="stable")[:, : self.top_k], axis=-1)

    def normalize(self, t: np.ndarray) -> np.ndarray:
        if not self.norm_p:
            return t
        return t / (np.abs(t) ** self.norm_p).sum(axis=-1, keepdims=True) ** (1.0 / self.norm_p)

    def expert(self, i: int, e: int, m: np.ndarray, t: float):
        """What expert e adds for one token (weighted), and its own output (unweighted): both [d]."""
        y = self.glu(i, e, m)
        return y * t, y

    def glu(self, i: int, e: int, m: np.ndarray) -> np.ndarray:
        w1, v1, w2 = (self.expert_matrix(i, e, which) for which in ("w1", "v1", "w2"))
        return (silu(m @ w1.T) * (m @ v1.T)) @ w2

    def expert_matrix(self, i: int, e: int, which: str) -> np.ndarray:
        """[f, d] for all three: rows f*e .. f*(e+1)-1 of the fused tensor."""
        fused = self.weights[f"transformer.blocks.{i}.ffn.experts.mlp.{which}"]
        return fused[self.ffn_hidden * e : self.ffn_hidden * (e + 1)]


def softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1.0 + np.exp(-x))


def rotate_half_split(x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    """Pairs (j, j + D/2) of x [T, heads, D]."""
    low, high = np.split(x, 2, axis=-1)
    return np.concatenate([low * cos - high * sin, high * cos + low * sin], axis=-1)
