"""What an evaluation should report: NumPy's forward pass over tokens of Hugging Face's tokenizer, in float64."""

import json
import pathlib
import sys

import jinja2
import numpy as np
import tokenizers

import checkpoint

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "goldens"))
from numpy_dbrx import NumpyDbrx  # noqa: E402


class Reference:
    def __init__(self, model: pathlib.Path):
        self.tokenizer = tokenizers.Tokenizer.from_file(str(model / "tokenizer.json"))
        tokenizer_config = json.loads((model / "tokenizer_config.json").read_text())
        self.bos = self.tokenizer.token_to_id(tokenizer_config["bos_token"])
        self.chat_template = jinja2.Template(tokenizer_config["chat_template"])
        self.forward = NumpyDbrx(json.loads((model / "config.json").read_text()),
                                 checkpoint.read_bf16(model / "model.safetensors")).forward

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def logprobs(self, tokens: list[int]) -> np.ndarray:
        """[T, vocabulary]: row i is about the token that follows token i."""
        logits = self.forward(np.array(tokens), np.arange(len(tokens)))["logits"]
        top = logits.max(axis=-1, keepdims=True)
        return logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))

    def score(self, tokens: list[int], n_scored: int) -> tuple[float, float]:
        """The sum of the logprobs of the last n_scored tokens; and by how much the worst of them is ahead of every
        other token (below 0: behind the best one)."""
        rows = self.logprobs(tokens[:-1])[-n_scored:]
        scored = tokens[-n_scored:]
        each = rows[np.arange(n_scored), scored]
        rows[np.arange(n_scored), scored] = -np.inf
        return each.sum(), (each - rows.max(axis=-1)).min()

    def continuation(self, context: str, target: str) -> tuple[float, float]:
        """score() of a target after a context. White space at the context's end is the target's; an empty context is
        the token that begins a text."""
        if not context:
            target_ids = self.encode(target)
            return self.score([self.bos, *target_ids], len(target_ids))
        n_space = len(context) - len(context.rstrip())
        context, target = context[: len(context) - n_space], context[len(context) - n_space :] + target
        ids = self.encode(context + target)
        return self.score(ids, len(ids) - len(self.encode(context)))

    def whole_text(self, text: str, window: int) -> float:
        """The sum of all logprobs of a text. Windows of so many predictions follow each other; the last one reaches
        back, so that it is as long as the others."""
        ids = [self.bos, *self.encode(text)]
        total = 0.0
        for begin in range(1, len(ids), window):
            end = min(begin + window, len(ids))
            total += self.score(ids[max(0, end - window - 1) : end], end - begin)[0]
        return total

    def chat(self, message: str) -> str:
        """The prompt for an answer to a user's message."""
        return self.chat_template.render(messages=[{"role": "user", "content": message}], add_generation_prompt=True)

    def greedy(self, context: str, until: list[str], max_tokens: int) -> str:
        """The likeliest continuation, up to one of `until`, if one of them comes."""
        ids, text = self.encode(context), ""
        n_context = len(ids)
        while len(ids) < n_context + max_tokens:
            ids.append(int(self.logprobs(ids)[-1].argmax()))
            text = self.tokenizer.decode(ids[n_context:], skip_special_tokens=False)
            for stop in until:
                if stop in text:
                    return text[: text.index(stop)]
        return text
