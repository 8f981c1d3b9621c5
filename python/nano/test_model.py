"""Checks of model.py: equal to transformers' DBRX on the same weights, and hand-written gradients equal to autograd's.

Run: python test_model.py  (or pytest)
"""

import torch
import torch.nn.functional as F

from model import Batch, Config, Dbrx

SMALL = Config(d_model=64, n_heads=4, kv_n_heads=2, n_layers=3, ffn_hidden_size=48, n_experts=8, top_k=2, vocab_size=128,
               clip_qkv=1.5)


def small_model(seed=3):
    """Weights large enough that a wrong clip, rotation or routing shows."""
    model = Dbrx(SMALL)
    model.init(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:
                p.add_(0.1 * torch.randn_like(p))
            if "router" in name or "lm_head" in name:
                p.mul_(20)
    return model


def samples(seed=5, lengths=(7, 40, 19, 19, 3)):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, SMALL.vocab_size, (n,), generator=generator).tolist() for n in lengths]


def plain_moe(moe, x):
    """Every expert on every token, weighted: slow and obvious."""
    c = moe.c
    probs = F.softmax(moe.router.layer(x), dim=-1)
    weights, chosen = probs.topk(c.top_k, dim=-1)
    dense = torch.zeros_like(probs).scatter(1, chosen, weights / weights.sum(-1, keepdim=True))
    w1, v1, w2 = (getattr(moe.experts.mlp, n).view(c.n_experts, c.ffn_hidden_size, c.d_model) for n in ("w1", "v1", "w2"))
    hidden = F.silu(torch.einsum("td,efd->tef", x, w1)) * torch.einsum("td,efd->tef", x, v1)
    return torch.einsum("tef,efd,te->td", hidden, w2, dense)


def test_expert_gradients_equal_those_of_a_plain_sum_over_all_experts():
    torch.manual_seed(0)
    moe = small_model().transformer.blocks[0].ffn
    x = torch.randn(37, SMALL.d_model)
    target = torch.randn(37, SMALL.d_model)
    results = []
    for f in (lambda v: moe(v, torch.float32)[0], lambda v: plain_moe(moe, v)):
        moe.zero_grad()
        v = x.clone().requires_grad_()
        y = f(v)
        (y * target).sum().backward()
        results.append([y.detach(), v.grad] + [p.grad.clone() for p in moe.parameters()])
    for ours, plain in zip(*results):
        assert torch.allclose(ours, plain, atol=1e-4, rtol=1e-4), (ours - plain).abs().max()


def test_logits_equal_those_of_transformers():
    from transformers import DbrxConfig, DbrxForCausalLM
    model = small_model()
    config = DbrxConfig(**{k: v for k, v in SMALL.to_hf().items() if k not in ("architectures", "torch_dtype", "model_type")},
                        attn_implementation="eager")
    other = DbrxForCausalLM(config).eval()
    missing, unexpected = other.load_state_dict(model.state_dict(), strict=False)
    assert not unexpected and all("inv_freq" in name for name in missing), (missing, unexpected)
    ordered = sorted(samples(), key=len)
    with torch.no_grad():
        ours = model.logits(model(Batch(ordered))[0]).split([len(s) for s in ordered])
        for ids, logits in zip(ordered, ours):
            theirs = other(torch.tensor([ids])).logits[0]
            worst = (theirs - logits).abs().max().item()
            assert worst < 1e-4, worst
            assert theirs.abs().max() > 1, "logits too small to tell anything"


def test_the_balance_loss_is_one_when_experts_share_evenly():
    model = Dbrx(SMALL)
    n, e, k = 40, SMALL.n_experts, SMALL.top_k
    even = [(torch.full((e,), n * k // e), torch.full((e,), 1 / e))] * SMALL.n_layers
    assert abs(model.balance_loss(even, n).item() - 1) < 1e-6


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
