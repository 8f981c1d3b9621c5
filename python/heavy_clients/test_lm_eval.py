"""lm-evaluation-harness against the server: what it reports is what the model's published formula says.

`local-completions` sends token ids from the server's own /tokenize, asks for an echo with logprobs, and adds them up.
"""

import pathlib

import lm_eval
import lm_eval.tasks
import pytest

from conftest import model_name

# Nats per token of a continuation. With fp32 weights and cache the server rounds to fp32 where the reference has float64:
# 6e-8 of each value, in some hundred operations in a row (largest difference seen: 2e-6). With the model as it is, bf16,
# the input of each product is rounded to 8 bits of mantissa, 0.002 of each value (largest seen: 0.01; docs/numerics.md
# has what that does to the distribution).
TOLERANCE = {"fp32": 2e-5, "bf16": 0.05}
WINDOW = 64


def evaluate(server, task, kind="local-completions", path="/v1/completions", chat=False, **model_args):
    """The samples of a task, in the order of its file."""
    results = lm_eval.simple_evaluate(
        model=kind, tasks=[task], bootstrap_iters=0, apply_chat_template=chat,
        model_args={"model": model_name(server), "base_url": server.url + path, "max_retries": 1, **model_args},
        task_manager=lm_eval.tasks.TaskManager(
            include_path=str(pathlib.Path(__file__).parent / "tasks"), include_defaults=False))
    return sorted(results["samples"][task], key=lambda sample: sample["doc_id"])


def answers(samples):
    """What was reported for each request: a text, or (logprob, whether it is the likeliest)."""
    return [answer for sample in samples for answer in sample["filtered_resps"]]


def check(samples, reference, tolerance):
    """Compares all that was reported for continuations with the reference."""
    pairs = [pair for sample in samples for pair in sample["arguments"]]
    reported = answers(samples)
    assert len(pairs) == len(reported) >= 4
    for (context, target), (logprob, is_greedy) in zip(pairs, reported):
        expected, lead = reference.continuation(context, target)
        assert logprob == pytest.approx(expected, abs=tolerance * len(reference.encode(target))), target
        if abs(lead) > 2 * tolerance:
            assert is_greedy == (lead > 0), target


def test_continuations(server, reference):
    check(evaluate(server, "dbrx_cloze"), reference, TOLERANCE["fp32"])


def test_choices(server, reference):
    samples = evaluate(server, "dbrx_choice")
    check(samples, reference, TOLERANCE["fp32"])
    for sample in samples:
        logprobs = [reference.continuation(*pair)[0] for pair in sample["arguments"]]
        assert sample["acc"] == (logprobs.index(max(logprobs)) == sample["doc"]["label"])
    assert {is_greedy for _, is_greedy in answers(samples)} == {False, True}


def test_the_model_as_it_is(server_of_bf16, reference):
    check(evaluate(server_of_bf16, "dbrx_choice"), reference, TOLERANCE["bf16"])


@pytest.mark.parametrize("task", ["dbrx_cloze", "dbrx_choice"])
def test_batches_and_company_change_no_bit(server, task):
    alone = answers(evaluate(server, task))
    assert answers(evaluate(server, task, batch_size=4)) == alone
    assert answers(evaluate(server, task, batch_size=2, num_concurrent=4)) == alone


def test_a_text_longer_than_the_context(start, reference):
    """Each request fills the context: the token before the window, the window, and one that is generated."""
    sample, = evaluate(start("--max-model-len", str(WINDOW + 2)), "dbrx_rolling", max_length=WINDOW + 2)
    text = sample["doc"]["text"]
    assert len(reference.encode(text)) > 2 * WINDOW
    tolerance = TOLERANCE["fp32"] * len(reference.encode(text))
    assert answers([sample]) == [pytest.approx(reference.whole_text(text, WINDOW), abs=tolerance)]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_greedy_answers(server, reference, batch_size):
    samples = evaluate(server, "dbrx_answer", batch_size=batch_size)
    for sample, text in zip(samples, answers(samples)):
        context, options = sample["arguments"][0]
        assert text == reference.greedy(context, options["until"], options["max_gen_toks"])


def test_chats(server, reference):
    samples = evaluate(server, "dbrx_reply", kind="local-chat-completions", path="/v1/chat/completions", chat=True)
    for sample, text in zip(samples, answers(samples)):
        prompt = reference.chat(sample["doc"]["question"])
        assert text == reference.greedy(prompt, ["<|im_end|>", "\n"], max_tokens=16)
