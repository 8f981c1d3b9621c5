"""The share of token slots each expert gets, per layer, on held-out data; --card writes it into the model card."""

import argparse
import pathlib

import torch
from tokenizers import Tokenizer

import checkpoint
import data
import tokenizer as text
from evaluate import MODEL, replace_between
from model import Batch


@torch.inference_mode()
def loads(model, tokenizer, n):
    """[layers, experts] shares that sum to 1 per layer, and the number of tokens looked at."""
    total, tokens = 0, 0
    for task in data.MEASURED:
        samples = [text.encode_sample(tokenizer, s["messages"])[0] for s in data.held_out(task, n)]
        batch = Batch(samples)
        total = total + torch.stack([count for count, _ in model(batch)[1]])
        tokens += len(batch.ids)
    return total / total.sum(1, keepdim=True), tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=pathlib.Path, default=MODEL)
    parser.add_argument("-n", type=int, default=40, help="samples per task")
    parser.add_argument("--card", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    shares, tokens = loads(checkpoint.load(args.model), Tokenizer.from_file(str(MODEL / "tokenizer.json")), args.n)
    rows = ["| layer | " + " | ".join(str(e) for e in range(shares.shape[1])) + " |", "|---" * (shares.shape[1] + 1) + "|"]
    rows += [f"| {i} | " + " | ".join(f"{100 * s:.1f}" for s in layer.tolist()) + " |" for i, layer in enumerate(shares)]
    rows.append(f"\nPer cent of the token slots per expert, {tokens} held-out tokens; an even share is {100 / shares.shape[1]:.2f} %.")
    print("\n".join(rows))
    if args.card:
        replace_between(MODEL / "README.md", "experts", "\n".join(rows))


if __name__ == "__main__":
    main()
