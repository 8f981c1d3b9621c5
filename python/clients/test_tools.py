"""Functions that the model may call, as OpenAI's, Anthropic's and LangChain's clients offer and read them."""

import json

import anthropic
import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

CITY = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 30}}, "required": ["city"]}
ORDER = {"type": "object", "properties": {"order_id": {"type": "string", "pattern": "^[A-Z]{2,3}-[0-9]{1,4}$"}},
         "required": ["order_id"]}
FUNCTIONS = {"get_weather": ("Weather of a city", CITY), "find_order": ("Status of an order", ORDER)}
TOOLS = [{"type": "function", "function": {"name": name, "description": about, "parameters": schema}}
         for name, (about, schema) in FUNCTIONS.items()]
WEATHER = [{"role": "user", "content": "Please check the weather in Marlo."}]
GREETING = [{"role": "user", "content": "How are you?"}]


def check(call):
    """The arguments satisfy the schema of the function that is called."""
    arguments = json.loads(call.function.arguments)
    if call.function.name == "get_weather":
        assert set(arguments) == {"city"} and len(arguments["city"]) <= 30
    else:
        assert call.function.name == "find_order"
        kind, number = arguments["order_id"].split("-")
        assert set(arguments) == {"order_id"} and kind.isupper() and number.isdigit()


def ask(client, model, messages, **fields):
    return client.chat.completions.create(
        model=model, messages=messages, **{"tools": TOOLS, "temperature": 0, "max_tokens": 100, **fields}).choices[0]


def streamed(client, model, messages, **fields):
    """(text, calls as (id, name, arguments), finish_reason), put together from the deltas."""
    text, calls, finish = "", [], None
    for chunk in client.chat.completions.create(
            model=model, messages=messages, stream=True,
            **{"tools": TOOLS, "temperature": 0, "max_tokens": 100, **fields}):
        delta = chunk.choices[0].delta
        text += delta.content or ""
        for call in delta.tool_calls or []:
            if call.id:
                assert call.index == len(calls) and call.type == "function"
                calls.append([call.id, call.function.name, ""])
            else:
                assert call.function.name is None
            calls[call.index][2] += call.function.arguments
        finish = chunk.choices[0].finish_reason or finish
    return text, calls, finish


def test_auto_calls_where_it_helps_and_answers_where_it_does_not(client, model):
    called = ask(client, model, WEATHER)
    assert called.finish_reason == "tool_calls" and called.message.content is None
    assert [(c.function.name, json.loads(c.function.arguments)) for c in called.message.tool_calls] == [
        ("get_weather", {"city": "Marlo"})]
    said = ask(client, model, GREETING)
    assert said.finish_reason == "stop" and said.message.tool_calls is None and said.message.content


def test_a_result_is_answered(client, model):
    call = ask(client, model, WEATHER).message
    result = {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": '{"degrees": 17}'}
    answer = ask(client, model, [*WEATHER, call.model_dump(exclude_none=True), result])
    assert answer.message.content == "It is 17 degrees in Marlo."


def test_required_and_named_calls_are_valid_whatever_is_drawn(client, model):
    for seed in range(12):
        for choice in ("required", {"type": "function", "function": {"name": "find_order"}}):
            answer = ask(client, model, GREETING, tool_choice=choice, temperature=2, seed=seed, max_tokens=400)
            assert answer.message.content is None
            assert answer.finish_reason == "tool_calls"
            for call in answer.message.tool_calls:
                check(call)
            if choice != "required":
                assert [c.function.name for c in answer.message.tool_calls] == ["find_order"]


def test_auto_calls_are_valid_whatever_is_drawn(client, model):
    n_calls = 0
    for seed in range(30):
        answer = ask(client, model, WEATHER, temperature=1.5, seed=seed, max_tokens=200)
        if answer.finish_reason != "tool_calls":
            continue
        for call in answer.message.tool_calls:
            check(call)
            n_calls += 1
    assert n_calls > 10


def test_none_calls_nothing(client, model):
    assert ask(client, model, WEATHER, tool_choice="none").message.tool_calls is None


def test_parallel_calls(client, model):
    messages = [{"role": "user", "content": "Please check the weather in Marlo. Please look up my order PO-4711."}]
    fields = dict(tool_choice="required", temperature=1.5, max_tokens=400)
    several = next(answer for answer in (ask(client, model, messages, seed=s, **fields) for s in range(100))
                   if len(answer.message.tool_calls) > 1)
    assert len({c.id for c in several.message.tool_calls}) == len(several.message.tool_calls)
    for seed in range(10):
        one = ask(client, model, messages, seed=seed, parallel_tool_calls=False, **fields)
        assert len(one.message.tool_calls) == 1


@pytest.mark.parametrize("messages", [WEATHER, GREETING])
def test_a_stream_says_the_same(client, model, messages):
    for seed in range(6):
        for choice in ("auto", "required"):
            fields = dict(tool_choice=choice, temperature=1, seed=seed, logprobs=True)
            whole = ask(client, model, messages, **fields)
            text, calls, finish = streamed(client, model, messages, **fields)
            assert text == (whole.message.content or "") and finish == whole.finish_reason
            assert [c[1:] for c in calls] == [
                [c.function.name, c.function.arguments] for c in whole.message.tool_calls or []]


def test_length_leaves_a_beginning(client, model):
    whole = ask(client, model, WEATHER, tool_choice="required", parallel_tool_calls=False)
    arguments = whole.message.tool_calls[0].function.arguments
    for n in (1, 5, 20, 24):
        cut = ask(client, model, WEATHER, tool_choice="required", parallel_tool_calls=False, max_tokens=n)
        if cut.finish_reason == "length":
            for call in cut.message.tool_calls or []:
                assert arguments.startswith(call.function.arguments)


@pytest.mark.parametrize("fields, param", [
    (dict(tool_choice="required", tools=[]), "tool_choice"),
    (dict(tool_choice={"type": "function", "function": {"name": "other"}}), "tool_choice"),
    (dict(tool_choice="sometimes"), "tool_choice"),
    (dict(tools=[TOOLS[0], TOOLS[0]]), "tools[1].function.name"),
    (dict(tools=[{"type": "web_search"}]), "tools[0]"),
    (dict(tools=[{"type": "function", "function": {"name": "a b"}}]), "tools[0].function.name"),
    (dict(tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}]),
     "tools[0].function.parameters.type"),
    (dict(tools=[TOOLS[0], {"type": "function", "function": {"name": "f", "parameters": {
        "type": "object", "properties": {"x": {"type": "nothing"}}}}}]), "tools"),
    (dict(response_format={"type": "json_object"}), "response_format"),
    (dict(stream=True, tools="all"), "tools"),
])
def test_what_cannot_be_honoured_is_refused(client, model, fields, param):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, model, WEATHER, **fields)
    assert caught.value.param == param
    if param == "tools" and "tools" in fields and fields["tools"] != "all":
        assert "the parameters of f:" in caught.value.message


def test_results_need_their_call(client, model):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, model, [*WEATHER, {"role": "tool", "tool_call_id": "call_0", "content": "1"}])
    assert caught.value.param == "messages[1].tool_call_id"


def test_anthropic(server, client, model):
    claude = anthropic.Anthropic(base_url=server.url, api_key="any", max_retries=0)
    tools = [{"name": name, "description": about, "input_schema": schema} for name, (about, schema) in FUNCTIONS.items()]
    fields = dict(model=model, max_tokens=100, tools=tools, extra_body={"temperature": 0})
    whole = claude.messages.create(messages=WEATHER, **fields)
    assert whole.stop_reason == "tool_use" and [b.type for b in whole.content] == ["tool_use"]
    assert (whole.content[0].name, whole.content[0].input) == ("get_weather", {"city": "Marlo"})
    with claude.messages.stream(messages=WEATHER, **fields) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use"
    assert [(b.name, b.input) for b in final.content] == [(b.name, b.input) for b in whole.content]
    result = {"type": "tool_result", "tool_use_id": whole.content[0].id, "content": '{"degrees": 17}'}
    answer = claude.messages.create(
        messages=[*WEATHER, {"role": "assistant", "content": whole.content}, {"role": "user", "content": [result]}], **fields)
    assert answer.content[0].text == "It is 17 degrees in Marlo."
    forced = claude.messages.create(messages=GREETING, tool_choice={"type": "tool", "name": "get_weather"}, **fields)
    assert [b.name for b in forced.content] == ["get_weather"]
    any_one = claude.messages.create(messages=GREETING, tool_choice={"type": "any"}, **fields)
    assert all(b.type == "tool_use" for b in any_one.content)


def test_langchain(server, model):
    def get_weather(city: str) -> str:
        """Weather of a city"""
        return '{"degrees": 17}'

    chat = ChatOpenAI(base_url=server.url + "/v1", api_key="any", model=model, temperature=0, max_retries=0,
                      max_tokens=100).bind_tools([get_weather])
    question = HumanMessage(WEATHER[0]["content"])
    call = chat.invoke([question])
    assert [(c["name"], c["args"]) for c in call.tool_calls] == [("get_weather", {"city": "Marlo"})]
    answer = chat.invoke([question, call, ToolMessage(get_weather(**call.tool_calls[0]["args"]),
                                                      tool_call_id=call.tool_calls[0]["id"])])
    assert answer.content == "It is 17 degrees in Marlo."
