"""Makes dbrx-nano's byte-level BPE tokenizer from generated text, and its chat template.

The pre-tokenizer is DBRX's own pattern. The merges are chosen so that a word has the same tokens wherever
it stands: letters merge only with letters, digits with nothing, and a leading space joins only whole common
words. Then copying a name out of a text into JSON is a copy of equal tokens, which a small model can learn.
"""

import argparse
import collections
import json
import pathlib
import random
import re

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import data
from chat_format import DEFAULT_SYSTEM, render

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
           r"|\s+(?!\S)|\s+")
# For choosing the merges only: letters, single digits, and the rest, each by itself.
MERGE_PATTERN = r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"
SPECIALS = ["<|endoftext|>", "<|pad|>", "<|im_start|>", "<|im_end|>"]
VOCAB_SIZE = 3008  # with the special tokens; a multiple of 64
SPACED_WORDS = 700
# The grammar of DBRX instruct: the system text is trimmed, a default one is used if the first role is another,
# and the line feed comes before each later turn, so none follows the last one.
CHAT_TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'].strip() %}"
    "{% elif 'system' not in messages[0]['role'] %}{% set loop_messages = messages %}"
    "{% set system_message = '" + DEFAULT_SYSTEM + "' %}"
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}"
    "{% if loop.index0 == 0 %}"
    "{% if system_message != false %}{{ '<|im_start|>system\n' + system_message + '<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' }}"
    "{% else %}{{ '\n' + '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' }}{% endif %}"
    "{% if loop.last and add_generation_prompt == true %}{{ '\n' + '<|im_start|>' + 'assistant' + '\n' }}{% endif %}"
    "{% endfor %}")


def sample_texts(n, seed=7):
    rng = random.Random(seed)
    return ["\n".join(f"{m['role']}\n{m['content']}" for m in data.training_sample(rng, 1.0)["messages"]) for _ in range(n)]


def common_words(texts, n):
    """The lower-case words most often seen after a space."""
    seen = collections.Counter()
    for text in texts:
        seen.update(re.findall(r" ([a-z]+)(?![a-z])", text))
    return [w for w, k in seen.most_common(n) if k >= 20]


def build(texts):
    space = "\u0120"  # how byte-level BPE writes a space
    base = Tokenizer(models.BPE())
    base.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(MERGE_PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    words = common_words(texts, SPACED_WORDS)
    base.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(SPECIALS) - len(words), min_frequency=2, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    learned = json.loads(base.to_str())["model"]
    vocab, merges = learned["vocab"], [tuple(m) for m in learned["merges"]]
    for word in words:
        if word in vocab and space + word not in vocab:
            vocab[space + word] = len(vocab)
            merges.append((space, word))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIALS])
    return tokenizer


def write(folder, tokenizer):
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    added = {str(tokenizer.token_to_id(t)): dict(content=t, lstrip=False, normalized=False, rstrip=False, single_word=False,
                                                 special=True) for t in SPECIALS}
    config = dict(add_bos_token=False, add_prefix_space=False, added_tokens_decoder=added, bos_token="<|endoftext|>",
                  chat_template=CHAT_TEMPLATE, clean_up_tokenization_spaces=False, eos_token="<|endoftext|>",
                  model_max_length=2048, pad_token="<|pad|>", tokenizer_class="GPT2Tokenizer", unk_token="<|endoftext|>")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(dict(
        bos_token="<|endoftext|>", eos_token="<|endoftext|>", pad_token="<|pad|>", unk_token="<|endoftext|>"), indent=2) + "\n")


def encode_sample(tokenizer, messages):
    """Token ids of a conversation and, per token, whether the assistant wrote it."""
    ids, wrote = [], []
    # The parts start at special tokens or after a line feed, so they may be encoded one by one.
    for encoding, (_, assistant) in zip(tokenizer.encode_batch([t for t, _ in render(messages)], add_special_tokens=False),
                                        render(messages)):
        ids += encoding.ids
        wrote += [assistant] * len(encoding.ids)
    return ids, wrote


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--samples", type=int, default=20000)
    args = parser.parse_args()
    texts = sample_texts(args.samples)
    tokenizer = build(texts)
    write(args.out, tokenizer)
    n_tokens = sum(len(e.ids) for e in tokenizer.encode_batch(texts[:2000]))
    n_chars = sum(len(t) for t in texts[:2000])
    print(f"{tokenizer.get_vocab_size()} tokens, {n_chars / n_tokens:.2f} characters per token, {n_tokens / 2000:.0f} tokens per sample")


if __name__ == "__main__":
    main()
