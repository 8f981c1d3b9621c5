"""Properties of the made tokenizer and chat template in models/dbrx-nano.

Run: python test_tokenizer.py  (or pytest)
"""

import json
import pathlib
import random

from tokenizers import Tokenizer

import data
import tokenizer as text
from words import Maker

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "models" / "dbrx-nano"
TOKENIZER = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))


def encode(s):
    return TOKENIZER.encode(s, add_special_tokens=False).tokens


def held_out_texts(n):
    return [m["content"] for task in data.TASKS for s in data.held_out(task, n, seed=5) for m in s["messages"]]


def test_decoding_gives_back_the_bytes():
    for s in held_out_texts(5) + ["naïve café — 日本語 🙂\n\n\ttabs  and   spaces \r\n end "]:
        assert TOKENIZER.decode(TOKENIZER.encode(s).ids) == s


def test_merging_by_lowest_rank_of_the_joined_text_gives_the_same_tokens():
    """tiktoken merges by the rank of the joined piece, not by a list of pairs; both readings must agree."""
    ranks = {k: v for k, v in TOKENIZER.get_vocab().items() if k not in text.SPECIALS}
    for s in held_out_texts(20):
        pieces = [p for p, _ in TOKENIZER.pre_tokenizer.pre_tokenize_str(s)]
        merged = []
        for piece in pieces:
            parts = list(piece)
            while len(parts) > 1:
                best = min(range(len(parts) - 1), key=lambda i: ranks.get(parts[i] + parts[i + 1], 1 << 30))
                if parts[best] + parts[best + 1] not in ranks:
                    break
                parts[best:best + 2] = [parts[best] + parts[best + 1]]
            merged += parts
        assert merged == encode(s), s


def test_a_digit_is_a_token():
    assert encode("4071 25") == ["4", "0", "7", "1", "Ġ", "2", "5"]


def test_a_name_has_the_same_tokens_in_text_and_in_quotes():
    m = Maker(3, "held")
    for _ in range(200):
        name = m.name_word()
        assert encode(f"to {name}.")[2:-1] == encode(f'": "{name}"')[2:-1] == encode(name)


def test_special_tokens_are_single_ids_at_the_end():
    ids = [TOKENIZER.token_to_id(t) for t in text.SPECIALS]
    n = TOKENIZER.get_vocab_size()
    assert ids == list(range(n - len(ids), n))


def test_the_template_equals_the_plain_rendering_and_the_grammar_of_dbrx():
    from transformers import AutoTokenizer
    fast = AutoTokenizer.from_pretrained(FOLDER)
    rng = random.Random(11)
    cases = [data.training_sample(rng, 0.5)["messages"] for _ in range(100)]
    cases += [[{"role": "system", "content": "  trimmed \n"}, {"role": "user", "content": " not trimmed \n"}],
              [{"role": "system", "content": ""}, {"role": "user", "content": "a"}], [{"role": "user", "content": "a"}],
              [{"role": "user", "content": "a"}, {"role": "system", "content": "later"}]]
    for messages in cases:
        plain = "".join(t for t, _ in text.render(messages))
        assert fast.apply_chat_template(messages, tokenize=False) == plain
        assert fast.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == plain + "\n<|im_start|>assistant\n"
        assert fast.apply_chat_template(messages) == text.encode_sample(TOKENIZER, messages)[0]
    only_system = [{"role": "system", "content": "a"}]
    assert fast.apply_chat_template(only_system, tokenize=False) == ""
    note = [{"role": "system_note", "content": "a"}]
    assert fast.apply_chat_template(note, tokenize=False) == "<|im_start|>system_note\na<|im_end|>"
    assert fast.apply_chat_template(cases[-2], tokenize=False) == (
        f"<|im_start|>system\n{text.DEFAULT_SYSTEM}<|im_end|>\n<|im_start|>user\na<|im_end|>")


def test_the_special_tokens_of_the_file_are_marked_special():
    added = json.loads((FOLDER / "tokenizer.json").read_text())["added_tokens"]
    assert [t["content"] for t in added] == text.SPECIALS
    assert all(t["special"] and not t["normalized"] for t in added)


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
