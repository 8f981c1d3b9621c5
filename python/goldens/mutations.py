"""The mistakes that a DBRX engine is known to make, each as a one-step change of the NumPy forward.

test_goldens.py applies them one by one: a mistake that moves no golden is one the goldens cannot catch.
"""

import numpy as np

from numpy_dbrx import NumpyDbrx, rotate_half_split, silu, softmax


class RmsNorm(NumpyDbrx):
    def norm(self, x, name):
        return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + self.eps) * self.weights[name]


class Eps1e6(NumpyDbrx):
    eps = 1e-6


class Eps1e12(NumpyDbrx):
    eps = 1e-12


class NoClip(NumpyDbrx):
    def clip_qkv(self, qkv):
        return qkv


class ClipOnlyQK(NumpyDbrx):
    def clip_qkv(self, qkv):
        n_qk = self.d_model + self.n_kv_heads * self.head_dim
        return np.concatenate([super().clip_qkv(qkv[:, :n_qk]), qkv[:, n_qk:]], axis=-1)


class ClipOnlyV(NumpyDbrx):
    def clip_qkv(self, qkv):
        n_qk = self.d_model + self.n_kv_heads * self.head_dim
        return np.concatenate([qkv[:, :n_qk], super().clip_qkv(qkv[:, n_qk:])], axis=-1)


class ClipAfterRope(ClipOnlyV):
    def rotate(self, q, k, positions):
        q, k = super().rotate(q, k, positions)
        return np.clip(q, -self.clip, self.clip), np.clip(k, -self.clip, self.clip)


class InterleavedRope(NumpyDbrx):
    def rotate(self, q, k, positions):
        cos, sin = self.rope_table(positions)

        def turn(x):
            # The same angles, on the pairs (2j, 2j + 1).
            half_split = np.concatenate([x[..., 0::2], x[..., 1::2]], axis=-1)
            low, high = np.split(rotate_half_split(half_split, cos, sin), 2, axis=-1)
            return np.stack([low, high], axis=-1).reshape(x.shape)

        return turn(q), turn(k)


class Theta10000(NumpyDbrx):
    def __init__(self, config, weights):
        super().__init__(config, weights)
        self.theta = 10000


class InvFreqBf16(NumpyDbrx):
    """What model.bfloat16() does to the reference's rotary buffer."""

    def inv_freq(self):
        bits = super().inv_freq().view(np.uint32)
        return ((bits + np.uint32(0x8000)) & np.uint32(0xFFFF0000)).view(np.float32)


class AngleFloat64(NumpyDbrx):
    """More exact than the model: its angles are fp32 products."""

    def rope_table(self, positions):
        angle = positions[:, None] * self.inv_freq().astype(np.float64)[None, :]
        return np.cos(angle)[:, None, :], np.sin(angle)[:, None, :]


class InvFreqRoundedOnce(NumpyDbrx):
    """More exact than the model: it rounds the power to fp32, and its inverse again."""

    def inv_freq(self):
        exponent = np.arange(0, self.head_dim, 2) / self.head_dim
        return (1.0 / float(self.theta) ** exponent).astype(np.float32)


class KvHeadModulo(NumpyDbrx):
    def kv_head(self, h):
        return h % self.n_kv_heads


class QkvPerGroup(NumpyDbrx):
    """Rows of Wqkv taken as G query heads, one key head, one value head, group after group."""

    def split(self, qkv):
        group = self.n_heads // self.n_kv_heads
        x = qkv.reshape(len(qkv), self.n_kv_heads, group + 2, self.head_dim)
        return x[:, :, :group].reshape(len(qkv), -1, self.head_dim), x[:, :, group], x[:, :, group + 1]


class W1V1Swapped(NumpyDbrx):
    def expert_matrix(self, i, e, which):
        return super().expert_matrix(i, e, {"w1": "v1", "v1": "w1", "w2": "w2"}[which])


class W2Reshaped(NumpyDbrx):
    """w2's [f, d] bytes read as a Linear weight [d, f]: same element count, other matrix."""

    def expert_matrix(self, i, e, which):
        matrix = super().expert_matrix(i, e, which)
        return matrix.reshape(self.d_model, self.ffn_hidden).T if which == "w2" else matrix


class ExpertMinorRows(NumpyDbrx):
    def expert_matrix(self, i, e, which):
        return self.weights[f"transformer.blocks.{i}.ffn.experts.mlp.{which}"][e :: self.n_experts]


class NoRenorm(NumpyDbrx):
    def normalize(self, t):
        return t


class TopKBeforeSoftmax(NumpyDbrx):
    """softmax(top-k logits), no norm. With p = 1 that is the same number; only p = 2 or off can tell."""

    def route(self, z):
        ids = self.top_ids(z)
        return ids, softmax(np.take_along_axis(z, ids, axis=-1))


class WeightBeforeActivation(NumpyDbrx):
    def expert(self, i, e, m, t):
        y = self.glu(i, e, m * t)
        return y, y


class GeluActivation(NumpyDbrx):
    def glu(self, i, e, m):
        w1, v1, w2 = (self.expert_matrix(i, e, which) for which in ("w1", "v1", "w2"))
        # gelu's sigmoid form is close enough to stand for every gelu.
        return (silu(1.702 * (m @ w1.T)) / 1.702 * (m @ v1.T)) @ w2


class Norm2BeforeAdd(NumpyDbrx):
    """The mixture reads the normalised attention output, without the residual in it."""

    def add_and_norm(self, x, attention_out, norm_name):
        return x + attention_out, self.norm(attention_out, norm_name)


class Norm2OnBranch(NumpyDbrx):
    """A post-norm: the residual gets the normalised attention output."""

    def add_and_norm(self, x, attention_out, norm_name):
        x = x + self.norm(attention_out, norm_name)
        return x, x


MUTATIONS = {
    "RMS instead of LayerNorm": RmsNorm,
    "eps 1e-6": Eps1e6,
    "eps 1e-12": Eps1e12,
    "no clip": NoClip,
    "clip after RoPE": ClipAfterRope,
    "clip only on Q and K": ClipOnlyQK,
    "clip only on V": ClipOnlyV,
    "interleaved RoPE": InterleavedRope,
    "theta 10000": Theta10000,
    "inv_freq rounded to bf16": InvFreqBf16,
    "KV head h % K": KvHeadModulo,
    "Wqkv rows per KV group": QkvPerGroup,
    "w1 and v1 swapped": W1V1Swapped,
    "w2 transposed-reshaped": W2Reshaped,
    "expert-minor row order": ExpertMinorRows,
    "gelu instead of silu": GeluActivation,
    "no renormalisation": NoRenorm,
    "top-k before softmax, no norm": TopKBeforeSoftmax,
    "weight before activation": WeightBeforeActivation,
    "norm_2 before the residual add": Norm2BeforeAdd,
    "norm_2 on the attention branch": Norm2OnBranch,
}

# These leave the distance between two rotated vectors nearly alone, and with it the logits. They show in
# q_rope and k_rope, at high positions.
ROPE_PRECISION_MUTATIONS = {
    "rotary angle in float64": AngleFloat64,
    "inv_freq rounded once": InvFreqRoundedOnce,
}
