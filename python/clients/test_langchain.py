"""The server behind LangChain's ChatOpenAI and OpenAI classes."""

import pydantic
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAI


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=20)
    age: int = pydantic.Field(ge=0, le=150)


@pytest.fixture(scope="module", params=["/v1", "/serving-endpoints"])
def chat(server, model, request):
    return ChatOpenAI(base_url=server.url + request.param, api_key="any", model=model, max_tokens=40,
                      temperature=0, max_retries=0, seed=1)


def test_a_conversation(chat):
    answer = chat.invoke([SystemMessage("Be brief."), HumanMessage("Hello"), AIMessage("Hi"), HumanMessage("Bye")])
    assert isinstance(answer.content, str) and answer.content
    assert answer.usage_metadata["output_tokens"] <= 40  # max_tokens is sent as max_completion_tokens
    assert answer.response_metadata["finish_reason"] in ("stop", "length")


def test_a_stream(chat):
    pieces = list(chat.stream("Say hello to the world.", stream_usage=True))
    assert "".join(p.content for p in pieces) == chat.invoke("Say hello to the world.").content
    assert any(p.usage_metadata for p in pieces)


def test_structured_output(chat):
    longer = chat.model_copy(update={"max_tokens": 200})
    assert isinstance(longer.with_structured_output(Person, method="json_schema").invoke("Maria Lopez is 41."), Person)


def test_a_text_completion(server, model):
    text = OpenAI(base_url=server.url + "/v1", api_key="any", model=model, max_tokens=5, temperature=0)
    assert isinstance(text.invoke("Once upon a time"), str)
