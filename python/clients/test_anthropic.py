"""/v1/messages as the official Anthropic SDK sees it."""

import anthropic
import pytest

GREEDY = {"extra_body": {"temperature": 0}}  # the SDK itself has no such argument any more
HELLO = [{"role": "user", "content": "Say hello to the world."}]


@pytest.fixture(scope="module")
def claude(server):
    return anthropic.Anthropic(base_url=server.url, api_key="any", max_retries=0)


def test_a_message(claude, client, model):
    answer = claude.messages.create(model=model, messages=HELLO, max_tokens=8, **GREEDY)
    assert answer.type == "message" and answer.role == "assistant" and answer.id.startswith("msg_")
    same = client.chat.completions.create(model=model, messages=HELLO, max_tokens=8, temperature=0)
    assert answer.content[0].text == same.choices[0].message.content
    assert answer.usage.input_tokens == same.usage.prompt_tokens
    assert answer.usage.output_tokens == same.usage.completion_tokens
    assert answer.stop_reason in ("end_turn", "max_tokens")


def test_the_system_prompt_and_blocks_of_text(claude, client, model):
    answer = claude.messages.create(
        model=model, max_tokens=8, **GREEDY, system=[{"type": "text", "text": "Be brief."}],
        messages=[{"role": "user", "content": [{"type": "text", "text": "Who are you?"}]}])
    same = client.chat.completions.create(model=model, max_tokens=8, temperature=0, messages=[
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who are you?"}])
    assert answer.content[0].text == same.choices[0].message.content


def test_a_stream_says_the_same(claude, model):
    fields = dict(model=model, messages=HELLO, max_tokens=12, **GREEDY)
    whole = claude.messages.create(**fields)
    with claude.messages.stream(**fields) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[0].text == whole.content[0].text
    assert final.stop_reason == whole.stop_reason
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert final.usage.input_tokens == whole.usage.input_tokens


def test_the_events_come_in_their_order(claude, model):
    kinds = [event.type for event in claude.messages.create(
        model=model, messages=HELLO, max_tokens=5, **GREEDY, stream=True)]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) <= {"content_block_delta"}


def test_stop_reasons(claude, model):
    whole = claude.messages.create(model=model, messages=HELLO, max_tokens=30, **GREEDY).content[0].text
    cut = claude.messages.create(model=model, messages=HELLO, max_tokens=30, **GREEDY, stop_sequences=[whole[3:6]])
    assert cut.stop_reason == "stop_sequence" and cut.stop_sequence == whole[3:6]
    assert cut.content[0].text == whole[:whole.index(whole[3:6])]
    short = claude.messages.create(model=model, messages=HELLO, max_tokens=1, **GREEDY)
    assert short.stop_reason == "max_tokens"


def test_counting_tokens(claude, model):
    counted = claude.messages.count_tokens(model=model, messages=HELLO, system="Be brief.")
    answer = claude.messages.create(model=model, messages=HELLO, system="Be brief.", max_tokens=1)
    assert counted.input_tokens == answer.usage.input_tokens


@pytest.mark.parametrize("fields, word", [
    ({"extra_body": {"temperature": 1.5}}, "temperature"),
    ({"tools": [{"name": "f"}]}, "tools[0]"),
    ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "messages"),
    ({"messages": [{"role": "system", "content": "a"}]}, "role"),
    ({"stop_sequences": "x"}, "stop_sequences"),
    ({"stop_sequences": ["x"], "tools": [{"name": "f", "input_schema": {"type": "object"}}]}, "stop_sequences"),
    ({"max_tokens": 0}, "max_tokens"),
])
def test_bad_requests(claude, model, fields, word):
    with pytest.raises(anthropic.BadRequestError) as refused:
        claude.messages.create(**{"model": model, "messages": HELLO, "max_tokens": 4, **fields}, stream=True)
    assert refused.value.body["type"] == "error"
    assert word in refused.value.body["error"]["message"]


def test_unknown_models_are_not_found(claude):
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model="claude", messages=HELLO, max_tokens=4)
