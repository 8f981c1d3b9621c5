"""Answers bound to a schema, an expression or choices, as clients ask for them and check them."""

import json
import re
from typing import Literal

import openai
import pydantic
import pytest

ASK = [{"role": "user", "content": "Extract the person: Maria Lopez, 41, lives in Lisbon."}]
SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["name", "age", "tags"],
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "maxItems": 3, "items": {"enum": ["a", "b"]}},
    },
}


class Person(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    kind: Literal["person", "company"]
    name: str = pydantic.Field(max_length=20)
    age: int = pydantic.Field(ge=0, le=150)


def check(text):
    value = json.loads(text)
    assert set(value) == {"name", "age", "tags"}
    assert isinstance(value["name"], str) and len(value["name"]) <= 20
    assert isinstance(value["age"], int) and 0 <= value["age"] <= 150
    assert len(value["tags"]) <= 3 and set(value["tags"]) <= {"a", "b"}


def test_the_sdk_parses_a_pydantic_model(client, model):
    for seed in range(5):
        answer = client.chat.completions.parse(model=model, messages=ASK, response_format=Person, seed=seed)
        assert answer.choices[0].finish_reason == "stop"
        assert isinstance(answer.choices[0].message.parsed, Person)


@pytest.mark.parametrize("temperature", [0, 1.5])
@pytest.mark.parametrize("body", [
    {"response_format": {"type": "json_schema", "json_schema": {"name": "p", "schema": SCHEMA}}},
    {"response_format": {"type": "json_object", "schema": SCHEMA}},
    {"structured_outputs": {"json": SCHEMA}},
    {"guided_json": json.dumps(SCHEMA)},
    {"json_schema": SCHEMA},
], ids=lambda body: next(iter(body)))
def test_every_envelope_binds_the_answer(client, model, body, temperature):
    answer = client.chat.completions.create(
        model=model, messages=ASK, n=4, seed=1, temperature=temperature, extra_body=body)
    for choice in answer.choices:
        assert choice.finish_reason == "stop"
        check(choice.message.content)


def test_a_stream_says_the_same(client, model):
    request = dict(model=model, messages=ASK, seed=3, logprobs=True,
                   response_format={"type": "json_schema", "json_schema": {"name": "p", "schema": SCHEMA}})
    whole = client.chat.completions.create(**request).choices[0]
    chunks = list(client.chat.completions.create(**request, stream=True))
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert text == whole.message.content
    check(text)
    assert "".join(t.token for t in whole.logprobs.content) == text


def test_an_answer_cut_by_max_tokens_is_a_beginning(client, model):
    for n in range(1, 12):
        choice = client.chat.completions.create(
            model=model, messages=ASK, max_tokens=n, temperature=0,
            response_format={"type": "json_object"}).choices[0]
        if choice.finish_reason == "stop":
            json.loads(choice.message.content)
        else:
            assert choice.finish_reason == "length"
            assert choice.message.content.lstrip()[:1] in ("{", "")


def test_expressions_choices_and_grammars(client, model):
    def ask(**body):
        return client.completions.create(model=model, prompt="Answer:", max_tokens=60, seed=2, n=3,
                                         extra_body={"structured_outputs": body}).choices
    for choice in ask(regex=r"\d{4}-\d{2}-\d{2}"):
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", choice.text)
    for choice in ask(choice=["yes", "no", "perhaps not"]):
        assert choice.text in ("yes", "no", "perhaps not")
    for choice in ask(grammar='start: "SELECT " NAME ("," NAME){0,3} " FROM t"\nNAME: /[a-z]{1,8}/'):
        assert re.fullmatch(r"SELECT [a-z]{1,8}(,[a-z]{1,8}){0,3} FROM t", choice.text)


@pytest.mark.parametrize("body, param", [
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "thing"}}}},
     "response_format.json_schema.schema"),
    ({"structured_outputs": {"json": {"not": {"type": "string"}}}}, "structured_outputs.json"),
    ({"structured_outputs": {"regex": "(?=a)b"}}, "structured_outputs.regex"),
    ({"structured_outputs": {"regex": "a", "choice": ["b"]}}, "structured_outputs.choice"),
    ({"guided_json": {"$ref": "http://example.com/schema"}}, "guided_json"),
    ({"structured_outputs": {"regex": "a"}, "stop": ["x"]}, "stop"),
])
def test_what_cannot_be_honoured_is_refused_before_the_stream(client, model, body, param):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=model, messages=ASK, stream=True, extra_body=body)
    assert refused.value.param == param


def test_a_schema_that_would_take_for_ever_is_refused(client, model):
    """vllm#54003: a schema whose compilation never ends blocks the server."""
    wide = {"type": "object", "properties": {
        f"p{i}": {"type": "string", "pattern": "^(x|y){3,70}$"} for i in range(20000)}}
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model=model, messages=ASK, extra_body={"guided_json": wide})
    assert refused.value.status_code in (400, 503)  # 503: the machine is too busy to find out what it costs
    assert client.chat.completions.create(model=model, messages=ASK, max_tokens=1)
