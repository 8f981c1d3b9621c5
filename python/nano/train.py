"""Trains dbrx-nano on a CPU within a time budget and exports it; see README.md for the one command.

Two processes of one thread each share the weights and split every step: half the samples each, then half of the
update each. On a machine with two busy cores this is several times faster than two threads inside every operation.
The learning rate follows the share of the time budget that is used up, so a run always ends finished.
A run stopped with Ctrl-C, or killed, goes on from run/checkpoint.pt.
"""

import argparse
import os
import pathlib
import random
import signal
import time

import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from tokenizers import Tokenizer

import checkpoint
import data
import tokenizer as text
from model import Batch, Config, Dbrx, product_type
from optimizer import AdamW, Muon

RANKS = 2
PROMPT_SHARE, PROMPT_WEIGHT = 0.15, 0.2  # tokens the user wrote: a sample of them, at a small weight
WARM_UP, DECAY_FROM = 0.02, 0.55  # in shares of the time
LR_MUON, LR_ADAM = 4e-3, 3e-3
LR_CONTINUED = 0.5  # share of these rates for weights that are trained already
# The mix of data moves from drills to tasks once the copy drill's loss is low, or at this share of the time.
COPY_LEARNED, DRILLS_END, MOVE_STEPS = 0.6, 0.6, 60
SAVE_SECONDS = 300
TASK_NAMES = list(data.TASKS)


def learning_rate(progress):
    """Relative to its peak: up, level, then straight down to zero."""
    if progress < WARM_UP:
        return max(progress / WARM_UP, 0.02)
    return min(1.0, max(0.0, (1 - progress) / (1 - DECAY_FROM)))


class Shared:
    """Weights, gradients of both ranks and optimizer state as flat arrays that both processes see."""

    def __init__(self, model):
        self.sizes = [p.numel() for p in model.parameters()]
        n = sum(self.sizes)
        self.weights, self.first, self.second = (torch.zeros(n).share_memory_() for _ in range(3))
        self.grads = torch.zeros(RANKS, n).share_memory_()
        # progress, stop, step, seconds before, lateness of the data mix
        self.control = torch.zeros(5, dtype=torch.float64).share_memory_()
        for p, view in zip(model.parameters(), self.weights.split(self.sizes)):
            view.copy_(p.detach().flatten())
            p.data = view.view(p.shape)

    def views(self, flat, model):
        return [v.view(p.shape) for v, p in zip(flat.split(self.sizes), model.parameters())]


def units(model):
    """(rank, index of the parameter, rule, shape seen by the rule) for every parameter."""
    muon, adam = Muon(LR_MUON), AdamW(LR_ADAM)
    out = []
    for i, (name, p) in enumerate(model.named_parameters()):
        layer = int(name.split(".")[2]) if ".blocks." in name else int("lm_head" in name)
        if ".experts." in name:
            out.append((layer % RANKS, i, muon, (model.c.n_experts, model.c.ffn_hidden_size, model.c.d_model)))
        elif "Wqkv" in name or "out_proj" in name:
            out.append((layer % RANKS, i, muon, (1,) + p.shape))
        else:
            out.append((layer % RANKS, i, adam, p.shape))
    return out


class Source:
    """Batches of exactly n_tokens tokens, the last few of them padding; the same seed, rank and step give the same."""

    def __init__(self, tokenizer, rank, seed, n_tokens):
        self.tokenizer, self.rank, self.seed, self.n_tokens = tokenizer, rank, seed, n_tokens
        self.pad = tokenizer.token_to_id("<|pad|>")

    def batch(self, step, late):
        """The batch; then per token to predict: where, what, whether the assistant wrote it, its task; and how many."""
        rng = random.Random(f"{self.seed}-{self.rank}-{step}")
        samples, left = [], self.n_tokens
        while True:
            sample = data.training_sample(rng, late)
            ids, wrote = text.encode_sample(self.tokenizer, sample["messages"])
            if len(ids) > left:
                break
            samples.append((ids, wrote, TASK_NAMES.index(sample["task"])))
            left -= len(ids)
        if left:
            samples.append(([self.pad] * left, [False] * left, -1))
        samples.sort(key=lambda s: len(s[0]))
        batch = Batch([s[0] for s in samples])
        picks, start = [], 0
        for ids, wrote, task in samples:
            if task >= 0:
                picks += [(start + i, ids[i + 1], wrote[i + 1], task) for i in range(len(ids) - 1)
                          if wrote[i + 1] or rng.random() < PROMPT_SHARE]
            start += len(ids)
        n = len(picks)
        picks += [(0, 0, False, -1)] * (-n % 256)
        return (batch, *(torch.tensor(column) for column in zip(*picks)), n)


class Report:
    """Running means for the progress line."""

    def __init__(self):
        self.loss = {}

    def add(self, name, value):
        self.loss[name] = 0.9 * self.loss.get(name, value) + 0.1 * value

    def line(self, names):
        return " ".join(f"{n} {self.loss[n]:.2f}" for n in names if n in self.loss)


def save(path, shared, step, seconds):
    temporary = path.with_suffix(".new")
    torch.save(dict(weights=shared.weights, first=shared.first, second=shared.second, step=step, seconds=seconds,
                    late=float(shared.control[4])), temporary)
    os.replace(temporary, path)


def work(rank, args, model, shared, barrier):
    """The training loop of one rank; rank 0 also keeps time, reports and saves."""
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(args.out / "tokenizer.json"))
    dtype = product_type()
    source = Source(tokenizer, rank, args.seed, args.batch // RANKS)
    mine = [u for u in units(model) if u[0] == rank]
    weights, first, second = (shared.views(f, model) for f in (shared.weights, shared.first, shared.second))
    grads = [shared.views(shared.grads[r], model) for r in range(RANKS)]
    for p, g in zip(model.parameters(), grads[rank]):
        p.grad = g
    report, step, before = Report(), int(shared.control[2]), float(shared.control[3])
    start = saved = time.time()
    seen = 0
    while True:
        barrier.wait()
        progress = float(shared.control[0])
        if progress >= 1 or shared.control[1]:
            break
        step += 1
        batch, at, target, wrote, task, n = source.batch(step, float(shared.control[4]))
        hidden, loads = model(batch, dtype)
        losses = F.cross_entropy(model.logits(hidden[at], dtype), target, reduction="none")[:n]
        wrote, task = wrote[:n], task[:n]
        balance = model.balance_loss(loads, len(batch.ids))
        answer = losses[wrote].mean()
        (answer + PROMPT_WEIGHT * losses[~wrote].mean() + model.c.balance_weight * balance).backward()
        barrier.wait()
        scale = learning_rate(progress) * (LR_CONTINUED if args.trained else 1)
        for _, i, rule, shape in mine:
            grad = (grads[0][i] + grads[1][i]).div_(RANKS)
            rule.step(weights[i].view(shape), grad.view(shape), first[i].view(shape), second[i].view(shape), scale, step)
        barrier.wait()
        shared.grads[rank].zero_()
        if rank != 0:
            continue
        seconds = before + time.time() - start
        seen += RANKS * len(batch.ids)
        shared.control[0] = seconds / (60 * args.minutes)
        report.add("answer", answer.item())
        report.add("prompt", losses[~wrote].mean().item())
        report.add("balance", balance.item())
        report.add("busiest", max(n.max().item() * model.c.n_experts / n.sum().item() for n, _ in loads))
        for k, name in enumerate(TASK_NAMES):
            chosen = wrote & (task == k)
            if chosen.any():
                report.add(name, losses[chosen].mean().item())
        if report.loss.get("copy", 9) < COPY_LEARNED or progress > DRILLS_END or shared.control[4] > 0:
            shared.control[4] = min(1.0, shared.control[4] + 1 / MOVE_STEPS)
        if step % 10 == 0:
            speed = seen / (time.time() - start)
            print(f"step {step} | {seconds / 60:.1f} min, {max(0.0, args.minutes - seconds / 60):.1f} left | {speed:.0f} tokens/s | "
                  f"{report.line(['answer', 'prompt', 'balance', 'busiest'])} | {report.line(TASK_NAMES)}", flush=True)
        if time.time() - saved > SAVE_SECONDS:
            saved = time.time()
            save(args.run / "checkpoint.pt", shared, step, seconds)
            checkpoint.export(model, args.run / "export", tokenizer)
    if rank == 0:
        seconds = before + time.time() - start
        save(args.run / "checkpoint.pt", shared, step, seconds)
        print(f"stopped after {step} steps, {seconds / 60:.1f} minutes, {seen} tokens in this run", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="model folder; holds tokenizer.json")
    parser.add_argument("--run", type=pathlib.Path, default=pathlib.Path(__file__).parent / "run")
    parser.add_argument("--minutes", type=float, default=55)
    parser.add_argument("--continue", dest="trained", action="store_true", help="go on from the weights in --out")
    parser.add_argument("--batch", type=int, default=4096, help="tokens per step")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.run.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(args.out / "tokenizer.json"))
    model = Dbrx(Config(vocab_size=-(-tokenizer.get_vocab_size() // 64) * 64))
    model.init(args.seed)
    if args.trained:
        model = checkpoint.load(args.out)
    shared = Shared(model)
    shared.control[4] = 1.0 if args.trained else 0.0  # trained weights have learned to copy
    old = args.run / "checkpoint.pt"
    if old.exists():
        state = torch.load(old)
        for name in ("weights", "first", "second"):
            getattr(shared, name).copy_(state[name])
        shared.control[2], shared.control[3], shared.control[4] = state["step"], state["seconds"], state["late"]
        shared.control[0] = state["seconds"] / (60 * args.minutes)
        print(f"resumed at step {state['step']}, {state['seconds'] / 60:.1f} minutes")
    print(f"{sum(shared.sizes)} parameters, {tokenizer.get_vocab_size()} tokens")

    context = mp.get_context("fork")
    barrier = context.Barrier(RANKS)

    def stop(*_):
        shared.control[1] = 1

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    other = context.Process(target=work, args=(1, args, model, shared, barrier), daemon=True)
    other.start()
    work(0, args, model, shared, barrier)
    other.join()
    if shared.control[0] >= 1:
        checkpoint.export(model, args.out, tokenizer)
        print(f"exported to {args.out}")


if __name__ == "__main__":
    main()
