"""Greedy answers from the torch model, without a server and without a KV cache: slow, simple, for measuring only."""

import torch

import tokenizer as text
from model import Batch


def prompt_ids(tokenizer, messages):
    parts = "".join(t for t, _ in text.render(messages)) + "\n<|im_start|>assistant\n"
    return tokenizer.encode(parts, add_special_tokens=False).ids


@torch.inference_mode()
def answers(model, tokenizer, conversations, limit=96, dtype=torch.float32):
    """One answer per conversation (a list of messages that ends with the user's)."""
    stops = {tokenizer.token_to_id(t) for t in ("<|im_end|>", "<|endoftext|>", "<|im_start|>")}
    rows = [prompt_ids(tokenizer, messages) for messages in conversations]
    starts, open_rows = [len(r) for r in rows], list(range(len(rows)))
    for _ in range(limit):
        open_rows.sort(key=lambda i: len(rows[i]))  # Batch keeps this order
        batch = Batch([rows[i] for i in open_rows])
        last = torch.tensor([len(rows[i]) for i in open_rows]).cumsum(0) - 1
        best = model.logits(model(batch, dtype)[0][last], dtype).argmax(-1).tolist()
        for i, token in zip(list(open_rows), best):
            if token in stops:
                open_rows.remove(i)
            else:
                rows[i].append(token)
        if not open_rows:
            break
    return [tokenizer.decode(r[n:]) for r, n in zip(rows, starts)]
