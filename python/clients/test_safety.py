"""Safety filters as OpenAI's and Anthropic's SDKs see them. Grammars make the model say what they shall find."""

import json
import urllib.request

import anthropic
import openai
import pytest

from test_raw_http import post
from waiting import PATIENCE

REFUSAL = "I'm sorry, I am unable to assist with that request."
MAIL = "ann.lee@example.com"
ASK = {"enable_safety_filter": True}


def user(text):
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    path = tmp_path_factory.mktemp("safety") / "words.txt"
    path.write_text("blue whale\nharpoon\n")
    return str(path)


@pytest.fixture
def masking(start_server, words):
    return start_server("--safety-pii", "mask", "--safety-keywords", words)


def chat(server, messages, *choices, **fields):
    """The answer is one of the choices."""
    extra = {**fields.pop("extra_body", ASK), **({"guided_choice": list(choices)} if choices else {})}
    fields.setdefault("max_tokens", 60)
    client = server.client()
    return client.chat.completions.create(
        model=client.models.list().data[0].id, messages=messages, temperature=0, extra_body=extra, **fields)


def report(choice):
    return choice.model_extra["safety_report"]


def streamed(stream):
    text, last = "", None
    for chunk in stream:
        text += chunk.choices[0].delta.content or ""
        last = chunk.choices[0]
    return text, last


def test_personal_data_in_a_question_is_blocked(server):
    answer = chat(server, user(f"Write to {MAIL}, please."))
    choice = answer.choices[0]
    assert choice.message.content == REFUSAL and choice.finish_reason == "content_filter"
    assert report(choice) == {"blocked": True, "output": [], "input": [
        {"filter": "pii", "category": "email", "action": "block", "begin": 9, "end": 9 + len(MAIL), "message": 0}]}
    assert answer.usage.total_tokens == 0
    text, last = streamed(chat(server, user(f"Write to {MAIL}, please."), stream=True))
    assert text == REFUSAL and last.finish_reason == "content_filter" and report(last) == report(choice)


def test_who_does_not_ask_is_not_watched(server):
    choice = chat(server, user("Who?"), MAIL, extra_body={}).choices[0]
    assert choice.message.content == MAIL and "safety_report" not in choice.model_extra


def test_the_model_sees_the_mask(masking):
    fields = dict(max_tokens=20)
    masked = chat(masking, user(f"My mail is {MAIL}."), **fields)
    same = chat(masking, user("My mail is [EMAIL]."), extra_body={}, **fields)
    assert masked.choices[0].message.content == same.choices[0].message.content
    assert masked.usage.prompt_tokens == same.usage.prompt_tokens
    assert report(masked.choices[0])["input"][0]["action"] == "mask"


def test_an_answer_is_masked(masking):
    said = f"Ask {MAIL} or call +1 415 555 0132 today."
    choice = chat(masking, user("Who?"), said).choices[0]
    assert choice.message.content == "Ask [EMAIL] or call [PHONE] today." and choice.finish_reason == "stop"
    found = report(choice)["output"]
    assert [said[one["begin"]:one["end"]] for one in found] == [MAIL, "+1 415 555 0132"]
    text, last = streamed(chat(masking, user("Who?"), said, stream=True))
    assert text == choice.message.content and report(last) == report(choice)


def test_an_answer_is_cut_before_a_keyword(masking):
    said = "They saw a Blue  Whale yesterday."
    choice = chat(masking, user("What?"), said).choices[0]
    assert choice.message.content == "They saw a " and choice.finish_reason == "content_filter"
    assert report(choice)["output"] == [
        {"filter": "keyword", "category": "keyword", "action": "block", "begin": 11, "end": 22}]
    text, last = streamed(chat(masking, user("What?"), said, stream=True))
    assert text == choice.message.content and last.finish_reason == "content_filter"


def test_arguments_of_functions_are_masked(masking):
    tools = [{"type": "function", "function": {"name": "send", "parameters": {
        "type": "object", "properties": {"to": {"enum": [MAIL.replace("ann", "bob")]}}, "required": ["to"]}}}]
    fields = dict(tools=tools, tool_choice="required")
    call = chat(masking, user("Send it."), extra_body={}, **fields).choices[0].message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"to": "bob.lee@example.com"}
    choice = chat(masking, user("Send it."), **fields).choices[0]
    assert json.loads(choice.message.tool_calls[0].function.arguments) == {"to": "[EMAIL]"}
    assert choice.finish_reason == "tool_calls"
    assert [one["action"] for one in report(choice)["input"]] == ["mask"]  # the function's schema


def test_logprobs_are_refused_beside_the_filters(server):
    with pytest.raises(openai.BadRequestError, match="safety filters"):
        chat(server, user("Hi"), logprobs=True)


def test_a_server_without_filters_says_so(start_server):
    with pytest.raises(openai.BadRequestError, match="--safety off"):
        chat(start_server("--safety", "off"), user("Hi"))


def test_always_watches_anthropics_messages_too(start_server, words):
    watched = start_server("--safety", "always", "--safety-keywords", words)
    claude = anthropic.Anthropic(base_url=watched.url, api_key="any", max_retries=0)
    fields = dict(model=watched.client().models.list().data[0].id, max_tokens=8, messages=user("Buy a harpoon."))
    answer = claude.messages.create(**fields)
    assert answer.content[0].text == REFUSAL and answer.stop_reason == "refusal"
    with claude.messages.stream(**fields) as stream:
        assert "".join(stream.text_stream) == REFUSAL
        assert stream.get_final_message().stop_reason == "refusal"
    assert chat(watched, user("Buy a harpoon."), extra_body={}).choices[0].finish_reason == "content_filter"


# As nano was trained: docs of the model, models/dbrx-nano/README.md.
CLASSIFIER = {"name": "nano-pii", "system": "Classify the text: CONTAINS_PII or NO_PII.", "prompt": "{text}",
              "labels": ["CONTAINS_PII", "NO_PII"], "block": ["CONTAINS_PII"]}
# Personal data that no pattern finds.
PRIVATE = "Date of birth: 12 May 1990, patient Anna Miller."
HARMLESS = "The meeting is on Monday at 10:30."


def test_what_the_filters_block_leaves_no_input(start_server, words):
    server = start_server("--safety", "always", "--safety-keywords", words)
    secrets = [f"Write to {MAIL} in Tarvik", "Where is the blue whale of Tarvik"]  # personal data; a keyword
    for secret in secrets:
        assert chat(server, user(secret), extra_body={}).choices[0].message.content == REFUSAL
        assert chat(server, [*user("hello"), {"role": "assistant", "content": "hi"}, *user(secret)], extra_body={},
                    stream=True).response.is_success
        client = server.client()
        model = client.models.list().data[0].id
        for prompt in (secret, json.loads(post(server, {"prompt": secret}, "/tokenize")[2])["tokens"]):
            assert client.completions.create(model=model, prompt=prompt).choices[0].finish_reason == "content_filter"
    ask = urllib.request.Request(server.url + "/dbrx/v1/requests", headers={"x-api-key": server.token})
    with urllib.request.urlopen(ask, timeout=PATIENCE) as answer:
        text = answer.read().decode()
    records = json.loads(text)["data"]
    assert [record["blocked"] for record in records] == [True] * 8
    assert all(record["input"] is None and record["choices"] == [] for record in records)
    for secret in (MAIL, "whale", "Tarvik"):
        assert secret not in text and secret not in "".join(server.log)


@pytest.fixture
def classifying(start_server, tmp_path):
    def start(*flags, **fields):
        path = tmp_path / "classifier.json"
        path.write_text(json.dumps(CLASSIFIER | fields))
        return start_server("--safety-pii", "off", "--safety-classifier", str(path), *flags)
    return start


def verdicts(choice):
    return [(one["of"], one["label"], one["action"]) for one in report(choice)["classifier"]]


def test_the_model_itself_classifies_questions(classifying):
    watched = classifying(output=False)
    answer = chat(watched, user(PRIVATE))
    choice = answer.choices[0]
    assert choice.message.content == REFUSAL and choice.finish_reason == "content_filter"
    assert verdicts(choice) == [("input", "CONTAINS_PII", "block")] and answer.usage.total_tokens == 0
    verdict = report(choice)["classifier"][0]
    assert verdict["name"] == "nano-pii" and verdict["message"] == 0 and 0.5 < verdict["probability"] <= 1
    assert (verdict["begin"], verdict["end"]) == (0, len(PRIVATE))
    text, last = streamed(chat(watched, user(PRIVATE), stream=True))
    assert text == REFUSAL and last.finish_reason == "content_filter" and verdicts(last) == verdicts(choice)
    # One more turn hides nothing.
    choice = chat(watched, user(PRIVATE) + [{"role": "assistant", "content": "Yes?"}] + user(HARMLESS)).choices[0]
    assert ("input", "CONTAINS_PII", "block") in verdicts(choice) and choice.finish_reason == "content_filter"
    # A conversation is asked about as a whole, but for what was seen.
    told = user(HARMLESS) + [{"role": "assistant", "content": "Yes?"}] + user("When?")
    choice = chat(watched, told).choices[0]
    assert verdicts(choice) == [("input", "NO_PII", "none")] * 2 and choice.finish_reason != "content_filter"
    again = chat(watched, told).choices[0]
    assert report(again)["classifier"] == report(choice)["classifier"][:1]


@pytest.mark.parametrize("after", [
    [{"role": "user", "content": ""}],
    [{"role": "assistant", "content": None, "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
     {"role": "tool", "tool_call_id": "1", "content": "ok"}],
    [{"role": "assistant", "content": "Well,"}],
    [{"role": "assistant", "content": "Yes?"}, {"role": "user", "content": HARMLESS}]])
def test_nothing_after_a_question_hides_it_from_the_classifier(classifying, after):
    watched = classifying(output=False)
    assert chat(watched, user(PRIVATE) + after).choices[0].finish_reason == "content_filter"


def test_what_the_classifier_passes_is_unchanged(classifying, server):
    watched = classifying()
    fields = dict(max_tokens=24)
    plain = chat(server, user(HARMLESS), extra_body={}, **fields)
    answer = chat(watched, user(HARMLESS), **fields)
    assert answer.choices[0].message.content == plain.choices[0].message.content
    assert answer.usage == plain.usage  # the classifier's own tokens are not the client's
    assert [label for _, label, _ in verdicts(answer.choices[0])] == ["NO_PII", "NO_PII"]
    assert "safety_report" not in chat(watched, user(PRIVATE), extra_body={}).choices[0].model_extra


def test_an_answer_is_held_until_it_is_classified(classifying):
    watched = classifying(input=False)
    chunks = list(chat(watched, user("When?"), HARMLESS, stream=True))
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert texts == [HARMLESS] and verdicts(chunks[-1].choices[0]) == [("output", "NO_PII", "none")]
    choice = chat(watched, user("Who?"), PRIVATE).choices[0]
    assert choice.message.content == REFUSAL and choice.finish_reason == "content_filter"
    assert verdicts(choice) == [("output", "CONTAINS_PII", "block")]
    text, last = streamed(chat(watched, user("Who?"), PRIVATE, stream=True))
    assert text == REFUSAL and last.finish_reason == "content_filter"


def test_the_classifier_watches_responses_too(classifying):
    client = classifying("--safety", "always").client()
    fields = dict(model=client.models.list().data[0].id, temperature=0, max_output_tokens=8)
    blocked = client.responses.create(input=PRIVATE, **fields)
    assert blocked.output_text == REFUSAL and blocked.incomplete_details.reason == "content_filter"
    events = list(client.responses.create(input=HARMLESS, stream=True, **fields))
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert events[-1].response.incomplete_details is None or events[-1].response.incomplete_details.reason != "content_filter"


def test_the_classifier_watches_anthropics_messages_too(classifying):
    watched = classifying("--safety", "always")
    claude = anthropic.Anthropic(base_url=watched.url, api_key="any", max_retries=0)
    fields = dict(model=watched.client().models.list().data[0].id, max_tokens=8)
    answer = claude.messages.create(messages=user(PRIVATE), **fields)
    assert answer.content[0].text == REFUSAL and answer.stop_reason == "refusal"
    assert claude.messages.create(messages=user(HARMLESS), **fields).stop_reason != "refusal"


def test_a_bad_file_of_the_classifier_ends_the_start(classifying):
    for fields, message in (({"block": ["PII"]}, "none of the labels"), ({"prompt": "text"}, "{text}"),
                            ({"system": "x" * 100000}, "context|room")):
        with pytest.raises(RuntimeError, match=message):
            classifying(**fields)


def test_flags_that_contradict_each_other(start_server, words):
    for flags in (["--safety", "off", "--safety-keywords", words], ["--safety", "always", "--safety-pii", "off"],
                  ["--safety-keywords", words + "x"]):
        with pytest.raises(RuntimeError, match="safety|words"):
            start_server(*flags)
