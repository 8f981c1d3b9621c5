"""/v1/responses as the official OpenAI SDK sees it."""

import json

import httpx
import openai
import pydantic
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from openai.types.responses import Response, ResponseStreamEvent

from test_structured_output import ASK, SCHEMA, Person, check
from test_tools import FUNCTIONS, GREETING, WEATHER

HELLO = "Say hello to the world."
TOOLS = [{"type": "function", "name": name, "description": about, "parameters": schema}
         for name, (about, schema) in FUNCTIONS.items()]
LOGPROBS = ["message.output_text.logprobs"]
EVENT = pydantic.TypeAdapter(ResponseStreamEvent)


@pytest.fixture
def ask(client, model):
    def create(**fields):
        return client.responses.create(**{"model": model, "input": HELLO, "max_output_tokens": 12, **fields})

    return create


def chat_text(client, model, messages, **fields):
    return client.chat.completions.create(model=model, messages=messages, **fields).choices[0].message.content


def without_ids(response):
    """What a repetition has in common with an answer."""
    fields = response.model_dump(exclude={"id", "created_at", "usage"})
    for item in fields["output"]:
        item.pop("id")
        item.pop("call_id", None)
        for part in item.get("content") or []:
            part.pop("parsed", None)
        item.pop("parsed_arguments", None)
    return fields


def test_an_answer_is_whole(client, model):
    sent = client.responses.with_raw_response.create(
        model=model, input=HELLO, max_output_tokens=12, instructions="Be brief.", temperature=0.5,
        metadata={"k": "v"}, extra_body={"seed": 7})
    Response.model_validate_json(sent.text)  # the SDK itself checks nothing
    raw = sent.parse()
    assert raw.object == "response" and raw.id.startswith("resp_") and raw.model == model
    assert raw.instructions == "Be brief." and raw.temperature == 0.5 and raw.metadata == {"k": "v"}
    assert raw.max_output_tokens == 12 and raw.tools == [] and raw.tool_choice == "auto"
    assert raw.error is None and raw.store is False and raw.truncation == "disabled"
    assert raw.text.format.type == "text" and raw.parallel_tool_calls is True
    message, = raw.output
    assert message.id.startswith("msg_") and message.role == "assistant" and message.status == raw.status
    assert message.content[0].annotations == [] and message.content[0].logprobs == []
    assert raw.output_text == message.content[0].text
    assert raw.usage.total_tokens == raw.usage.input_tokens + raw.usage.output_tokens
    assert raw.usage.output_tokens_details.reasoning_tokens == 0
    assert raw.model_extra["seed"] == 7 and raw.model_extra["system_fingerprint"]


def test_the_text_is_that_of_a_chat_completion(client, model, ask):
    first = [{"role": "user", "content": HELLO}]
    for temperature, seed in ((0, 1), (1, 2), (1.5, 3)):
        drawn = dict(temperature=temperature, extra_body={"seed": seed, "top_k": 40, "min_p": 0.01})
        expected = client.chat.completions.create(model=model, messages=first, max_tokens=12, **drawn)
        answer = ask(**drawn)
        assert answer.output_text == expected.choices[0].message.content
        assert answer.usage.input_tokens == expected.usage.prompt_tokens
        assert answer.usage.output_tokens == expected.usage.completion_tokens
        # The next turn: what an answer is made of comes back as it is.
        items = [*first, *answer.output, {"role": "user", "content": [{"type": "input_text", "text": "Who are you?"}]}]
        messages = [{"role": "system", "content": "Be brief."}, *first, expected.choices[0].message,
                    {"role": "user", "content": "Who are you?"}]
        assert ask(instructions="Be brief.", input=items, **drawn).output_text == chat_text(
            client, model, messages, max_tokens=12, **drawn)


def test_developers_are_the_system(client, model, ask):
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Who are you?"}]
    assert ask(input=messages, temperature=0).output_text == chat_text(
        client, model, messages, max_tokens=12, temperature=0)


@pytest.mark.parametrize("fields", [
    {"temperature": 0}, {"temperature": 1.5, "extra_body": {"seed": 4}}, {"max_output_tokens": 1, "temperature": 0},
    {"max_output_tokens": 200, "temperature": 0}], ids=str)
def test_a_stream_says_the_same(ask, fields):
    whole = ask(**fields)
    fields.setdefault("extra_body", {}).setdefault("seed", whole.model_extra["seed"])
    events = list(ask(**fields, stream=True))
    kinds = [event.type for event in events]
    assert kinds[:4] == ["response.created", "response.in_progress", "response.output_item.added",
                         "response.content_part.added"]
    assert kinds[-4:] == ["response.output_text.done", "response.content_part.done", "response.output_item.done",
                          "response." + whole.status]
    assert set(kinds[4:-4]) == {"response.output_text.delta"}
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events[4:-4]) == events[-4].text == whole.output_text
    item = events[-1].response.output[0]
    assert all(event.item_id == item.id and event.content_index == 0 for event in events[3:-2])
    assert all(event.output_index == 0 for event in events[2:-1])
    assert events[-2].item == item and events[2].item.status == "in_progress"
    assert {event.response.id for event in (events[0], events[1], events[-1])} == {events[-1].response.id}
    assert without_ids(events[-1].response) == without_ids(whole)
    assert events[-1].response.usage.output_tokens == whole.usage.output_tokens


def test_the_stream_helper_assembles_the_answer(client, model, ask):
    whole = ask(temperature=0, max_output_tokens=200)
    assert whole.status == "completed"
    with client.responses.stream(model=model, input=HELLO, temperature=0, max_output_tokens=200) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert snapshots[-1] == final.output_text == whole.output_text


@pytest.mark.parametrize("fields", [
    {"include": LOGPROBS, "top_logprobs": 1}, {"input": WEATHER, "tools": TOOLS, "temperature": 0}], ids=["text", "call"])
def test_events_are_of_the_form_that_the_sdk_declares(server, model, fields):
    body = httpx.post(server.url + "/v1/responses", timeout=300, json={
        "model": model, "input": HELLO, "max_output_tokens": 30, "stream": True, **fields}).text
    for event in body.strip().split("\n\n"):
        if event.startswith(":"):  # a ping: the server had nothing to say for a while
            continue
        name, data = event.split("\n")
        assert name == "event: " + EVENT.validate_json(data.removeprefix("data: ")).type
    assert "[DONE]" not in body


def test_what_does_not_fit_is_incomplete(ask):
    answer = ask(max_output_tokens=1, temperature=0)
    assert answer.status == "incomplete" and answer.incomplete_details.reason == "max_output_tokens"
    assert answer.output[0].status == "incomplete" and answer.usage.output_tokens == 1


def test_logprobs_are_those_of_a_chat_completion(client, model, ask):
    fields = dict(temperature=0, top_logprobs=3)
    expected = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": HELLO}], max_tokens=12, logprobs=True, **fields)
    expected = [token.model_dump() for token in expected.choices[0].logprobs.content]
    part = ask(include=LOGPROBS, **fields).output[0].content[0]
    assert [token.model_dump() for token in part.logprobs] == expected
    streamed = []
    for event in ask(include=LOGPROBS, **fields, stream=True):
        if event.type == "response.output_text.delta":
            streamed += [token.model_dump() for token in event.logprobs]
    assert streamed == expected


@pytest.mark.parametrize("format", [
    {"type": "json_schema", "name": "person", "schema": SCHEMA, "strict": True}], ids=["schema"])
def test_the_text_may_be_bound(ask, format):
    for seed in range(5):
        answer = ask(input=ASK, text={"format": format}, max_output_tokens=300, extra_body={"seed": seed})
        assert answer.status == "completed"
        check(answer.output_text)
        assert answer.text.format.type == "json_schema" and answer.text.format.schema_ == SCHEMA


def test_the_text_may_be_any_object(ask):
    answer = ask(text={"format": {"type": "json_object"}}, max_output_tokens=400, temperature=0)
    if answer.status == "completed":
        assert isinstance(json.loads(answer.output_text), dict)
    else:
        assert answer.output_text.startswith("{")


def test_the_sdk_parses_a_pydantic_model(client, model):
    fields = dict(model=model, input=ASK, text_format=Person, max_output_tokens=300, temperature=0)
    answer = client.responses.parse(**fields)
    assert isinstance(answer.output_parsed, Person)
    with client.responses.stream(**fields) as stream:
        assert stream.get_final_response().output_parsed == answer.output_parsed


def test_functions_are_called_and_answered(ask):
    fields = dict(tools=TOOLS, temperature=0, max_output_tokens=100)
    first = ask(input=WEATHER, **fields)
    call, = first.output
    assert first.status == "completed" and first.output_text == ""
    assert call.type == "function_call" and call.id.startswith("fc_") and call.call_id.startswith("call_")
    assert (call.name, json.loads(call.arguments), call.status) == ("get_weather", {"city": "Marlo"}, "completed")
    assert [tool.name for tool in first.tools] == list(FUNCTIONS) and first.tools[0].strict is True
    result = {"type": "function_call_output", "call_id": call.call_id, "output": '{"degrees": 17}'}
    answer = ask(input=[*WEATHER, *first.output, result], **fields)
    assert answer.output_text == "It is 17 degrees in Marlo."


def test_calls_are_streamed(client, model, ask):
    fields = dict(input=WEATHER, tools=TOOLS, max_output_tokens=300)
    for seed in range(6):
        for choice in ("auto", "required"):
            drawn = dict(tool_choice=choice, temperature=1.2, extra_body={"seed": seed})
            whole = ask(**fields, **drawn)
            events = list(ask(**fields, **drawn, stream=True))
            assert [event.sequence_number for event in events] == list(range(len(events)))
            assert without_ids(events[-1].response) == without_ids(whole)
            arguments = {}
            for event in events:
                if event.type == "response.output_item.added" and event.item.type == "function_call":
                    arguments[event.item.id] = ""
                elif event.type == "response.function_call_arguments.delta":
                    arguments[event.item_id] += event.delta
                elif event.type == "response.function_call_arguments.done":
                    assert event.arguments == arguments[event.item_id]
            assert list(arguments.values()) == [i.arguments for i in whole.output if i.type == "function_call"]
    with client.responses.stream(model=model, temperature=0, tool_choice="required", **fields) as stream:
        assert stream.get_final_response().output[0].name == "get_weather"


def test_a_choice_of_functions_is_kept(ask):
    fields = dict(input=GREETING, tools=TOOLS, max_output_tokens=400)
    for seed in range(5):
        extra = dict(temperature=2, extra_body={"seed": seed})
        named = ask(tool_choice={"type": "function", "name": "find_order"}, **fields, **extra)
        assert [item.name for item in named.output] == ["find_order"]
        assert named.tool_choice.name == "find_order"
        one = ask(tool_choice="required", parallel_tool_calls=False, **fields, **extra)
        assert [item.type for item in one.output] == ["function_call"]
    assert [item.type for item in ask(tool_choice="none", **{**fields, "input": WEATHER}, temperature=0).output] == [
        "message"]


USER = {"role": "user", "content": "x"}


@pytest.mark.parametrize("fields, param", [
    ({"store": True}, "store"),
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"background": True}, "background"),
    ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"truncation": "auto"}, "truncation"),
    ({"reasoning": {"effort": "low"}}, "reasoning"),
    ({"service_tier": "flex"}, "service_tier"),
    ({"tools": [{"type": "web_search"}]}, "tools[0]"),
    ({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "tools[0]"),
    ({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, "tools[0]"),
    ({"tools": [{"type": "computer_use_preview"}]}, "tools[0]"),
    ({"tools": [{"type": "image_generation"}]}, "tools[0]"),
    ({"tools": [{"type": "mcp", "server_label": "s"}]}, "tools[0]"),
    ({"tools": [{"type": "custom", "name": "f"}]}, "tools[0]"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": TOOLS, "text": {"format": {"type": "json_object"}}}, "text.format"),
    ({"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "nothing"}}}}, "text.format.schema"),
    ({"text": {"verbosity": "low"}}, "text.verbosity"),
    ({"include": ["no.such.thing"]}, "include"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"include": LOGPROBS, "tools": TOOLS}, "include"),
    ({"metadata": {"k": "v" * 513}}, "metadata"),
    ({"max_output_tokens": 10_000_000}, "input"),
    ({"temperature": 2.5}, "temperature"),
    ({"input": []}, "input"),
    ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "u"}]}]}, "input[0].content[0]"),
    ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input[0].content[0]"),
    ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}, USER]}, "input[0]"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
    ({"input": [USER, {"type": "function_call_output", "call_id": "call_1", "output": "1"}]}, "input[1].call_id"),
    ({"extra_body": {"max_tokens": 3}}, "max_tokens"),
    ({"extra_body": {"n": 2}}, "n"),
    ({"tools": TOOLS, "extra_body": {"stop": "x"}}, "stop"),
    ({"extra_body": {"return_token_ids": True}}, "return_token_ids"),
], ids=str)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_honoured_is_refused(ask, fields, param, stream):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(**fields, stream=stream)
    assert caught.value.param == param
    assert caught.value.message


def test_what_has_no_effect_is_taken(ask):
    raw = ask(user="u", safety_identifier="s", prompt_cache_key="k", max_tool_calls=1, store=False, background=False,
              reasoning={}, include=["reasoning.encrypted_content"], truncation="disabled", service_tier="auto")
    assert raw.output


def test_unknown_parameters_are_named(client, model):
    raw = client.responses.with_raw_response.create(
        model=model, input=[{**USER, "name": "ann"}], max_output_tokens=1, extra_body={"frobnicate": 1})
    assert raw.headers["x-dbrx-ignored"] == "frobnicate, input[].name"
    assert int(raw.headers["x-dbrx-seed"]) == raw.parse().model_extra["seed"]
    assert raw.headers["x-dbrx-fingerprint"] == raw.parse().model_extra["system_fingerprint"]


def test_nothing_is_stored(client, ask):
    answer = ask(max_output_tokens=1)
    for call in (client.responses.retrieve, client.responses.delete, client.responses.cancel,
                 client.responses.input_items.list):
        with pytest.raises(openai.NotFoundError) as caught:
            call(answer.id)
        assert caught.value.code == "response_not_found" and "does not store" in caught.value.message


def test_tokens_are_counted(client, model, ask):
    fields = dict(input=WEATHER, instructions="Be brief.", tools=TOOLS)
    counted = client.responses.input_tokens.count(model=model, **fields)
    assert counted.object == "response.input_tokens"
    assert counted.input_tokens == ask(**fields).usage.input_tokens
    with pytest.raises(openai.BadRequestError):
        client.responses.input_tokens.count(model=model, input=[])


def test_databricks(server, model, ask):
    databricks = openai.OpenAI(base_url=server.url + "/serving-endpoints", api_key="none", max_retries=0)
    answer = databricks.responses.create(model=model, input=HELLO, max_output_tokens=12, temperature=0)
    assert without_ids(answer) == {**without_ids(ask(temperature=0)), "seed": answer.model_extra["seed"]}


def test_filters_watch(start_server):
    server = start_server("--safety", "always")
    client = server.client()
    model = client.models.list().data[0].id
    blocked = client.responses.create(model=model, input="Write to ann.lee@example.com, please.")
    assert blocked.status == "incomplete" and blocked.incomplete_details.reason == "content_filter"
    assert blocked.output_text == "I'm sorry, I am unable to assist with that request."
    assert blocked.model_extra["safety_report"]["blocked"] and blocked.usage.total_tokens == 0
    said = {"structured_outputs": {"choice": ["Ask ann.lee@example.com, please."]}, "seed": 1}
    fields = dict(model=model, input="Who?", max_output_tokens=60, extra_body=said)
    cut = client.responses.create(**fields)
    assert cut.status == "incomplete" and cut.output_text == "Ask "
    assert cut.model_extra["safety_report"]["output"][0]["category"] == "email"
    events = list(client.responses.create(**fields, stream=True))
    assert events[-1].type == "response.incomplete"
    assert without_ids(events[-1].response) == without_ids(cut)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=model, input="Who?", include=LOGPROBS)
    assert caught.value.param == "include"


def test_langchain(server, model):
    def get_weather(city: str) -> str:
        """Weather of a city"""
        return '{"degrees": 17}'

    chat = ChatOpenAI(base_url=server.url + "/v1", api_key="any", model=model, temperature=0, max_retries=0,
                      max_tokens=100, use_responses_api=True)
    hello = [HumanMessage(HELLO)]
    assert "".join(chunk.text for chunk in chat.stream(hello)) == chat.invoke(hello).text != ""
    with_tools = chat.bind_tools([get_weather])
    question = HumanMessage(WEATHER[0]["content"])
    call = with_tools.invoke([question])
    assert [(c["name"], c["args"]) for c in call.tool_calls] == [("get_weather", {"city": "Marlo"})]
    answer = with_tools.invoke([question, call, ToolMessage(get_weather(**call.tool_calls[0]["args"]),
                                                            tool_call_id=call.tool_calls[0]["id"])])
    assert answer.text == "It is 17 degrees in Marlo."
