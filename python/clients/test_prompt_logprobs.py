"""Echoed prompts and their logprobs, as lm-evaluation-harness and vLLM's clients read them."""

import openai
import pytest

from conftest import token_id

TEXT = "The naïve café opened at 9:30, and nobody came."


def complete(client, model, **fields):
    return client.completions.create(model=model, **{"prompt": TEXT, "temperature": 0, "seed": 1, **fields})


def test_the_text_begins_with_the_prompt(client, model):
    plain = complete(client, model, max_tokens=7).choices[0].text
    for prompt in (TEXT, TEXT + "<|im_end|>"):
        assert complete(client, model, prompt=prompt, max_tokens=7, echo=True).choices[0].text.startswith(prompt)
    assert complete(client, model, max_tokens=7, echo=True).choices[0].text == TEXT + plain
    only = complete(client, model, max_tokens=0, echo=True)
    assert only.choices[0].text == TEXT and only.usage.completion_tokens == 0


def test_logprobs_cover_prompt_and_answer(client, model):
    fields = dict(max_tokens=5, logprobs=3, extra_body={"ignore_eos": True})
    choice = complete(client, model, **fields, echo=True).choices[0]
    own = complete(client, model, **fields).choices[0]
    p = choice.logprobs
    n_prompt = len(p.tokens) - 5
    assert p.token_logprobs[0] is None and p.top_logprobs[0] is None
    assert p.token_logprobs[n_prompt:] == own.logprobs.token_logprobs
    assert p.tokens[n_prompt:] == own.logprobs.tokens
    assert p.text_offset[0] == 0 and p.text_offset[n_prompt] == len(TEXT)
    for token, logprob, top in list(zip(p.tokens, p.token_logprobs, p.top_logprobs))[1:]:
        assert top[token] == logprob  # lm-eval compares these floats for equality
        assert len(top) in (3, 4) and max(top.values()) >= logprob


@pytest.mark.parametrize("stream", [False, True])
def test_the_token_that_ends_the_text_is_listed(client, model, stream):
    """lm-evaluation-harness takes the last token for generated, whatever it was."""
    answer = complete(client, model, max_tokens=1, echo=True, logprobs=1, stream=stream,
                      logit_bias={str(token_id("<|im_end|>")): 100})
    choices = [chunk.choices[0] for chunk in (answer if stream else [answer])]
    assert "".join(c.text for c in choices) == TEXT and choices[-1].finish_reason == "stop"
    listed = [c.logprobs for c in choices if c.logprobs]
    tokens = [token for p in listed for token in p.tokens]
    assert tokens[-1] == "<|im_end|>" and tokens[-2] == "."
    assert listed[-1].token_logprobs[-1] < 0 and listed[-1].text_offset[-1] == len(TEXT)


def vllm_form(client, model, **fields):
    answer = complete(client, model, extra_body={"prompt_logprobs": 2}, **fields)
    return answer.choices[0].prompt_logprobs


def test_the_form_of_vllm(client, model):
    entries = vllm_form(client, model, max_tokens=1)
    echoed = complete(client, model, max_tokens=1, echo=True, logprobs=2).choices[0].logprobs
    assert entries[0] is None
    for entry, logprob in list(zip(entries, echoed.token_logprobs))[1:]:
        assert logprob in [e["logprob"] for e in entry.values()]
        assert sorted(e["rank"] for e in entry.values())[:2] == [1, 2]
    chat = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "hi"}], max_tokens=1, extra_body={"prompt_logprobs": 0})
    assert len(chat.prompt_logprobs) == chat.usage.prompt_tokens


def test_several_prompts_and_token_ids(client, model):
    whole = complete(client, model, prompt=["a b c", "x"], max_tokens=1, echo=True, logprobs=1).choices
    assert [c.text[:5] for c in whole][0] == "a b c"
    ids = complete(client, model, prompt=[[65, 66, 67], [68, 69]], max_tokens=0, echo=True, logprobs=1).choices
    assert [len(c.logprobs.tokens) for c in ids] == [3, 2]


def test_a_stream_says_the_same(client, model):
    fields = dict(max_tokens=6, echo=True, logprobs=2, n=2, temperature=1)
    whole = complete(client, model, **fields).choices
    texts, tokens, logprobs = ["", ""], [[], []], [[], []]
    for chunk in complete(client, model, **fields, stream=True):
        for c in chunk.choices:
            texts[c.index] += c.text
            if c.logprobs:
                tokens[c.index] += c.logprobs.tokens
                logprobs[c.index] += c.logprobs.token_logprobs
    for i, choice in enumerate(whole):
        assert texts[i] == choice.text
        assert tokens[i] == choice.logprobs.tokens
        assert logprobs[i] == choice.logprobs.token_logprobs


def test_a_long_prompt_is_scored_in_bounded_steps(client, model):
    prompt = "word " * 1500
    choice = complete(client, model, prompt=prompt, max_tokens=1, echo=True, logprobs=1).choices[0]
    assert choice.text.startswith(prompt)
    assert all(x is not None for x in choice.logprobs.token_logprobs[1:])


@pytest.mark.parametrize("fields, param", [
    ({"max_tokens": 0}, "max_tokens"),
    ({"extra_body": {"prompt_logprobs": 1}, "stream": True}, "prompt_logprobs"),
    ({"extra_body": {"prompt_logprobs": 21}}, "prompt_logprobs"),
])
def test_what_has_no_meaning_is_refused(client, model, fields, param):
    with pytest.raises(openai.BadRequestError) as refused:
        complete(client, model, **fields)
    assert refused.value.param == param
