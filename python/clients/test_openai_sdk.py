"""The server as the official Python SDK sees it. Nothing here depends on what the model says."""

import concurrent.futures
import json

import openai
import pytest

from conftest import token_id

HELLO = [{"role": "user", "content": "Say hello to the world."}]
PROMPT = "Once upon a time"


def test_chat_completes(client, model):
    answer = client.chat.completions.create(model=model, messages=HELLO, max_tokens=8)
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == model
    assert answer.system_fingerprint
    choice, = answer.choices
    assert choice.message.role == "assistant"
    assert isinstance(choice.message.content, str)
    assert choice.finish_reason in ("stop", "length")
    assert 1 <= answer.usage.completion_tokens <= 8
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer._request_id


def test_both_token_limits_end_with_length(client, model):
    for name in ("max_tokens", "max_completion_tokens"):
        answer = client.chat.completions.create(
            model=model, messages=HELLO, extra_body={"ignore_eos": True, name: 5})
        assert answer.usage.completion_tokens == 5
        assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize("name", ["<|im_end|>", "<|endoftext|>"])
def test_each_token_that_ends_a_text_does(client, model, name):
    token = token_id(name)
    answer = client.chat.completions.create(model=model, messages=HELLO, max_tokens=5, logit_bias={str(token): 100})
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 1


def test_a_streamed_chat_says_the_same_as_a_whole_one(client, model):
    request = dict(model=model, messages=HELLO, max_tokens=12, temperature=0)
    whole = client.chat.completions.create(**request)
    chunks = list(client.chat.completions.create(
        **request, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[0].choices[0].delta.content == ""
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(c.usage is None for c in chunks[:-1])


def test_streams_have_no_usage_unless_asked(client, model):
    chunks = list(client.chat.completions.create(
        model=model, messages=HELLO, max_tokens=3, stream=True))
    assert all(c.choices and c.usage is None for c in chunks)


def test_completions_whole_and_streamed(client, model):
    request = dict(model=model, prompt=PROMPT, max_tokens=10, temperature=0)
    whole = client.completions.create(**request)
    assert whole.object == "text_completion"
    chunks = list(client.completions.create(**request, stream=True))
    assert "".join(c.choices[0].text for c in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason


def test_completions_default_to_16_tokens(client, model):
    answer = client.completions.create(model=model, prompt=PROMPT, extra_body={"ignore_eos": True})
    assert answer.usage.completion_tokens == 16


def test_several_choices_differ_and_are_numbered(client, model):
    answer = client.chat.completions.create(
        model=model, messages=HELLO, n=2, max_tokens=24, temperature=2, seed=5,
        extra_body={"ignore_eos": True})
    assert [c.index for c in answer.choices] == [0, 1]
    assert answer.choices[0].message.content != answer.choices[1].message.content
    assert answer.usage.completion_tokens == 48
    texts = ["", ""]
    for chunk in client.chat.completions.create(
            model=model, messages=HELLO, n=2, max_tokens=24, temperature=2, seed=5, stream=True,
            extra_body={"ignore_eos": True}):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == [c.message.content for c in answer.choices]


def test_a_list_of_prompts_is_answered_in_order(client, model):
    prompts = ["One", "Two", "Three"]
    request = dict(model=model, max_tokens=6, temperature=0)
    together = client.completions.create(prompt=prompts, **request)
    alone = [client.completions.create(prompt=p, **request).choices[0].text for p in prompts]
    assert [c.text for c in together.choices] == alone
    assert [c.index for c in together.choices] == [0, 1, 2]


def test_token_ids_are_prompts(client, model):
    request = dict(model=model, max_tokens=4, temperature=0)
    one = client.completions.create(prompt=[40, 41, 42], **request)
    assert one.usage.prompt_tokens == 3
    two = client.completions.create(prompt=[[40, 41, 42], [43]], **request)
    assert two.choices[0].text == one.choices[0].text
    assert two.usage.prompt_tokens == 4


def test_chat_logprobs(client, model):
    answer = client.chat.completions.create(
        model=model, messages=HELLO, max_tokens=6, temperature=0, logprobs=True, top_logprobs=3,
        extra_body={"ignore_eos": True, "skip_special_tokens": False})
    content = answer.choices[0].logprobs.content
    assert len(content) == 6
    for token in content:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 3
        assert token.top_logprobs[0].token == token.token  # greedy: the likeliest
        assert token.top_logprobs[0].logprob == token.logprob
        ordered = [t.logprob for t in token.top_logprobs]
        assert ordered == sorted(ordered, reverse=True)
    joined = b"".join(bytes(t.bytes) for t in content)
    assert joined.decode(errors="replace") == answer.choices[0].message.content


def test_streamed_logprobs_are_those_of_the_whole_answer(client, model):
    request = dict(model=model, messages=HELLO, max_tokens=6, temperature=0, logprobs=True)
    whole = client.chat.completions.create(**request).choices[0].logprobs.content
    streamed = []
    for chunk in client.chat.completions.create(**request, stream=True):
        if chunk.choices[0].logprobs:
            streamed += chunk.choices[0].logprobs.content
    assert streamed == whole


def test_completion_logprobs(client, model):
    answer = client.completions.create(
        model=model, prompt=PROMPT, max_tokens=5, temperature=0, logprobs=2,
        extra_body={"ignore_eos": True})
    logprobs = answer.choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset) == 5
    assert logprobs.text_offset[0] == 0
    for logprob, top in zip(logprobs.token_logprobs, logprobs.top_logprobs):
        assert max(top.values()) == logprob  # the test for greedy answers of evaluation programs


def test_the_same_seed_gives_the_same_text(client, model):
    def text(**options):
        answer = client.completions.create(
            model=model, prompt=PROMPT, max_tokens=24, temperature=2,
            extra_body={"ignore_eos": True}, **options)
        return answer.choices[0].text

    assert text(seed=7) == text(seed=7)
    assert text(seed=7) != text(seed=8)
    assert text(seed=-1) == text(seed=-1)
    assert text(seed=0) == text(seed=0)
    assert text() != text()


def test_the_reported_seed_repeats_an_answer(client, model):
    request = dict(model=model, prompt=PROMPT, max_tokens=24, temperature=2,
                   extra_body={"ignore_eos": True})
    raw = client.completions.with_raw_response.create(**request)
    seed = int(raw.headers["x-dbrx-seed"])
    again = client.completions.create(**request, seed=seed)
    assert again.choices[0].text == raw.parse().choices[0].text


def test_stop_strings_end_the_text(client, model):
    request = dict(model=model, prompt=PROMPT, max_tokens=24, temperature=0,
                   extra_body={"ignore_eos": True})
    full = client.completions.create(**request).choices[0].text
    stop = full[5:8]
    cut = client.completions.create(**request, stop=["\0never", stop]).choices[0]
    assert cut.text == full[:full.index(stop)]
    assert cut.finish_reason == "stop"
    assert cut.stop_reason == stop
    streamed = "".join(c.choices[0].text for c in client.completions.create(
        **request, stop=stop, stream=True))
    assert streamed == cut.text


def test_logit_bias_forces_a_token(client, model):
    answer = client.completions.create(
        model=model, prompt=PROMPT, max_tokens=3, temperature=0, logprobs=0,
        logit_bias={"65": 100}, extra_body={"ignore_eos": True})
    assert len(set(answer.choices[0].logprobs.tokens)) == 1


def test_other_forms_of_messages_are_understood(client, model):
    answer = client.chat.completions.create(
        model=model, max_tokens=2,
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"role": "assistant", "content": None, "tool_calls": None, "refusal": None},
            {"role": "user", "content": "Again", "name": None},
        ],
        user="someone", metadata={"a": "b"}, store=False, service_tier="auto",
        response_format={"type": "text"}, tools=[])
    assert answer.choices


def test_an_answer_may_come_back_as_a_message(client, model):
    first = client.chat.completions.create(model=model, messages=HELLO, max_tokens=4)
    client.chat.completions.create(
        model=model, max_tokens=2,
        messages=[*HELLO, first.choices[0].message.model_dump(), HELLO[0]])


def test_models_are_listed_and_found(client, model):
    models = client.models.list().data
    assert models[0].id == model
    assert models[0].max_model_len > 0
    assert client.models.retrieve(model).id == model
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no/such model")


def test_unknown_models_are_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-4", messages=HELLO)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


def refusal(client, model, **fields):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model=model, messages=fields.pop("messages", HELLO), extra_body=fields)
    return caught.value


def test_bad_requests_name_the_parameter(client, model):
    error = refusal(client, model, temperature="hot")
    assert error.param == "temperature"
    assert 'a number from 0 to 2, found "hot"' in error.message
    assert refusal(client, model, n=0).param == "n"
    assert refusal(client, model, stop=[""]).param == "stop"
    assert refusal(client, model, messages=[]).param == "messages"
    assert refusal(client, model, messages=[{"role": "tool", "content": "x"}]).param == "messages[0].tool_call_id"
    assert refusal(client, model, functions=[{"name": "f"}]).code == "unsupported_parameter"
    assert refusal(client, model, response_format={"type": "xml"}).param == "response_format.type"
    assert refusal(client, model, max_new_tokens=5).param == "max_new_tokens"
    error = refusal(client, model, max_tokens=10_000_000)
    assert error.code == "context_length_exceeded"
    assert refusal(client, model, messages=[
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]).param


def test_errors_of_streams_come_before_the_stream(client, model):
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=model, messages=HELLO, stream=True, top_p=3)


def test_unknown_parameters_are_named_in_a_header(client, model):
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=HELLO, max_tokens=1, extra_body={"frobnicate": 1})
    assert raw.headers["x-dbrx-ignored"] == "frobnicate"


def test_strict_servers_refuse_unknown_parameters(start_server):
    client = start_server("--strict-params").client()
    model = client.models.list().data[0].id
    assert refusal(client, model, frobnicate=1).param == "frobnicate"


def test_request_ids_are_repeated(client, model):
    answer = client.chat.completions.create(
        model=model, messages=HELLO, max_tokens=1, extra_headers={"x-request-id": "trace-1"})
    assert answer._request_id == "trace-1"


def test_two_hundred_clients_get_what_each_gets_alone(server, model):
    client = server.client(timeout=300)

    def ask(i):
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": f"Tell me about number {i}."}],
            max_tokens=12, temperature=1, seed=i, logprobs=True)
        choice = answer.choices[0]
        return choice.message.content, json.dumps([t.logprob for t in choice.logprobs.content])

    with concurrent.futures.ThreadPoolExecutor(200) as threads:
        together = list(threads.map(ask, range(200)))
    for i in range(0, 200, 5):
        assert ask(i) == together[i], i
