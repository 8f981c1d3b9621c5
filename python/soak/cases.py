"""Random requests and what docs/api.md says of each: whether it is answered or with which status it is refused.

The expectations are written from the page, not from the program: VALID and INVALID list values per parameter.
"""

import dataclasses
import random

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
DATABRICKS_CHAT, DATABRICKS_COMPLETIONS = "/serving-endpoints/chat/completions", "/serving-endpoints/completions"

# What every dialect but Anthropic's takes.
VALID = {
    "temperature": [0, 0.0, 0.7, 1, 2, None], "top_p": [0.01, 0.5, 1, 1.0], "top_k": [-1, 0, 1, 40, 5.0],
    "min_p": [0, 0.05, 1], "presence_penalty": [-2, 0, 0.5, 2], "frequency_penalty": [-2, 0.1, 2],
    "repetition_penalty": [0.5, 1, 1.3, 100], "logit_bias": [{}, {"40": 100}, {"40": -100, "41": 0.5}],
    "ignore_eos": [True, False], "min_tokens": [0, 1, 2], "skip_special_tokens": [True, False],
    "priority": [0, 0, -1], "user": ["u"], "no_such_parameter": [1, "x", None],
}
INVALID = {
    "temperature": [-0.1, 2.1, "hot", True, [], {}], "top_p": [0, 1.01, -1, "x"], "top_k": [-2, 1.5, "x"],
    "min_p": [-0.1, 1.1, "x"], "presence_penalty": [-2.1, 3, "x"], "frequency_penalty": [2.1, "x"],
    "repetition_penalty": [0, -1, 101, "x"],
    "logit_bias": [{"x": 1}, {"-1": 1}, {"99999999": 1}, {"40": 101}, {"40": "x"}, 7],
    "ignore_eos": [1, "yes"], "min_tokens": [-1, 1.5, "x", 1000], "skip_special_tokens": [0, "x"],
    "priority": ["high", 1.5, 1 << 40], "seed": [1.5, "x", 1e30, True], "stream": [1, "true"],
    "stop": ["", [""], ["a"] * 17, "a" * 1025, 5, [1], {}], "stop_token_ids": [["a"], [-1], [99999999], 5, [1] * 257],
    "structured_outputs": [{"regex": "("}, {"grammar": "start: nothing"}, {"json": {"type": "thing"}},
                           {"regex": "a", "choice": ["a"]}, {"choice": []}, 5],
    "enable_safety_filter": ["yes", 1], "stream_options": [5, {"include_obfuscation": True}, "x"],
}
OPENAI_ONLY_VALID = {"n": [1, 2, 3], "guided_choice": [["yes", "no"], ["one"]], "return_token_ids": [True, False]}
OPENAI_ONLY_INVALID = {
    "n": [0, 129, 1.5, "x", -1], "max_tokens": [0, -1, "many", 1.5, 1_000_000], "best_of": [2], "store": [True],
    "max_completion_tokens": [0, "x"], "guided_choice": [[], [""], "x", [1]], "guided_regex": ["(", "", 5],
    "guided_json": [{"type": "thing"}, 5], "suffix": ["x"], "functions": [[{"name": "f"}]], "logit_processors": [["x"]],
    "use_beam_search": [True], "response_format": [{"type": "thing"}, 5, {"type": "json_schema"}],
    "truncate_prompt_tokens": [0, -2, "x"], "error_behavior": ["x", 5],
    "return_token_ids": [1, "x"], "return_routed_experts": ["x"], "prompt_logprobs": [-1, 21, "x"],
}
CHAT_INVALID = {
    "messages": [[], None, 5, "x", [5], [{"role": "user"}], [{"role": "king", "content": "x"}],
                 [{"role": "user", "content": 5}], [{"role": "user", "content": [{"type": "image_url"}]}],
                 [{"role": "tool", "content": "x", "tool_call_id": "none"}]],
    "logprobs": [5, "x"], "top_logprobs": [21, -1, "x"],
    "tools": [5, [5], [{"type": "web_search"}], [{"type": "function", "function": {"name": "a b"}}]],
    "tool_choice": ["required", "some", {"type": "function", "function": {"name": "none"}}, 5],
    "modalities": [["audio"]], "chat_template": ["{{ x }}", "{% for i in range(10**9) %}{% endfor %}"],
}
COMPLETIONS_INVALID = {
    "prompt": ["", [], None, 5, [""], ["x", ""], [[]], [-1], [99999999], [1.5], {"a": 1}, ["x"] * 257, ["x", 5]],
    "logprobs": [21, -1, "x", True], "echo": ["x", 1],
}
RESPONSES_INVALID = {
    "input": [None, 5, [], [5], [{"role": "king", "content": "x"}], [{"type": "reasoning"}]],
    "instructions": [5], "max_output_tokens": [0, -1, "x", 1_000_000], "include": [5], "top_logprobs": [21, 1],
    "text": [5, {"format": {"type": "thing"}}], "tools": [5, [{"type": "web_search"}]], "metadata": [5, {"a": 5}],
    "tool_choice": ["required", 5], "background": [True], "previous_response_id": ["resp_1"], "n": [2], "store": [True],
}
ANTHROPIC_VALID = {"temperature": [0, 0.5, 1], "top_p": [0.1, 1], "top_k": [0, 5], "system": ["Be brief.", None],
                   "metadata": [{"user_id": "u"}], "stop_sequences": [["zzz"], []]}
ANTHROPIC_INVALID = {
    "messages": [[], None, 5, [{"role": "system", "content": "x"}], [{"role": "assistant", "content": "x"}],
                 [{"role": "user", "content": [{"type": "image"}]}]],
    "max_tokens": [None, 0, "x", 1_000_000], "temperature": [1.1, -1, "x"], "top_p": [0, 2], "top_k": [1.5, "x"],
    "stop_sequences": ["x", [""], ["a"] * 17, [5]], "stream": [1], "system": [5], "tools": [5, [5]],
    "tool_choice": [5, {"type": "any"}], "thinking": [{"type": "enabled"}], "mcp_servers": [[{}]],
}
TOOL = {"name": "get_weather", "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}},
                       "required": ["city"]}}
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["age"],
          "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 150}}}
GRAMMARS = [{"regex": "[a-z ]{1,30}"}, {"json": SCHEMA}, {"choice": ["red", "green", "blue"]},
            {"grammar": 'start: "a" ("b" | "c")+ "d"'}, {"json_object": True}]
QUESTIONS = ["Who are you?", "Say hello to the world.", "Please check the weather in Marlo.", "How old is Ann?",
             "Count to ten.", "Mail jane.doe@example.com or call +44 20 7946 0958."]

# Bodies and heads that are wrong before any parameter is looked at, and their status.
RAW = [
    (b"POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415),
    (b"GET /v1/completions HTTP/1.1\r\nHost: t\r\n\r\n", 405), (b"GET /nothing HTTP/1.1\r\nHost: t\r\n\r\n", 404),
    (b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET / HTTP/7.1\r\nHost: t\r\n\r\n", 505), (b"\x16\x03\x01\x02\x00\x01\xfc\x03\x03 \r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: t\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431),
    (b"POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999\r\n\r\n", 413),
    (b"POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Length: -5\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: t\r\nExpect: the best\r\nContent-Length: 5\r\n\r\n", 417),
    (b"GET /v1/models HTTP/1.1\r\nHost: t\r\n\r\n", 200), (b"GET /health HTTP/1.1\r\nHost: t\r\n\r\n", 200),
    (b"HEAD /v1/models/dbrx-nano HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", 200),
    (b"OPTIONS /v1/completions HTTP/1.1\r\nHost: t\r\n\r\n", 204),
]
BODIES = [b"", b"{", b"[]", b"hello", b"{} {}", b'{"prompt": "\xff"}', b'{"prompt": "\\ud800"}', b'{"n": NaN}',
          b"[" * 100_000, b'{"prompt": ' + b"[" * 100 + b"]" * 100 + b"}", b'{"prompt": "x", "n": 1e999}']


@dataclasses.dataclass(frozen=True)
class Case:
    path: str
    body: object  # a dict or bytes
    status: int = 200
    field: str = None  # which the error names, if one is refused
    dialect: str = "openai"

    @property
    def key(self):
        """The same for requests that must get the same answer, whole or in a stream."""
        body = {name: value for name, value in self.body.items() if name not in ("stream", "stream_options")}
        return self.path, repr(sorted(body.items(), key=lambda item: item[0]))


def pick_some(rng, table, n):
    return {name: rng.choice(table[name]) for name in rng.sample(sorted(table), min(n, len(table)))}


def openai_body(rng, path, marker):
    chat = "chat" in path
    body = pick_some(rng, {**VALID, **OPENAI_ONLY_VALID}, rng.randrange(6))
    body |= {"seed": rng.randrange(1 << 40), "max_tokens": rng.randrange(2, 24)}
    question = f"{rng.choice(QUESTIONS)} ({marker})"
    if chat:
        body["messages"] = [{"role": "user", "content": question}]
    else:
        ids = [rng.randrange(100, 2000) for _ in range(rng.randrange(1, 300))]
        body["prompt"] = rng.choice([question, [question, "Once"], ids, [ids, [40]]])
    feature = rng.randrange(8)
    if feature == 0:
        body["logprobs"] = True if chat else rng.randrange(6)
    elif feature == 1 and "guided_choice" not in body:
        body["structured_outputs"] = rng.choice(GRAMMARS)
    elif feature == 2 and chat and "guided_choice" not in body:
        body |= {"tools": [{"type": "function", "function": TOOL}], "tool_choice": rng.choice(["auto", "required"])}
    elif feature == 3 and "return_token_ids" not in body:
        body["enable_safety_filter"] = True
    elif feature == 4 and not chat:
        body["echo"] = True
    elif feature == 5 and "guided_choice" not in body:
        body["stop"] = rng.choice(["e", ["the", "a"]])
    elif feature == 6:
        body["return_token_ids"] = True
    return body


def responses_body(rng, marker):
    body = pick_some(rng, VALID, rng.randrange(4))
    body |= {"input": f"{rng.choice(QUESTIONS)} ({marker})", "seed": rng.randrange(1 << 40),
             "max_output_tokens": rng.randrange(2, 24), "metadata": {"marker": marker}}
    feature = rng.randrange(4)
    if feature == 0:
        body |= {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    elif feature == 1:
        body["tools"] = [{"type": "function", **TOOL}]
    elif feature == 2:
        body["text"] = {"format": {"type": "json_schema", "name": "person", "schema": SCHEMA}}
    return body


def anthropic_body(rng, marker):
    body = pick_some(rng, ANTHROPIC_VALID, rng.randrange(4))
    body |= {"messages": [{"role": "user", "content": f"{rng.choice(QUESTIONS)} ({marker})"}], "temperature": 0,
             "max_tokens": rng.randrange(2, 24)}  # without a seed only greedy answers repeat
    if rng.randrange(4) == 0 and not body.get("stop_sequences"):
        body["tools"] = [{"name": TOOL["name"], "input_schema": TOOL["parameters"]}]
    return body


def valid_case(rng, marker):
    path = rng.choice([CHAT, CHAT, COMPLETIONS, COMPLETIONS, DATABRICKS_CHAT, DATABRICKS_COMPLETIONS, RESPONSES,
                       MESSAGES])
    if path == RESPONSES:
        return Case(path, responses_body(rng, marker), dialect="responses")
    if path == MESSAGES:
        return Case(path, anthropic_body(rng, marker), dialect="anthropic")
    return Case(path, openai_body(rng, path, marker))


def invalid_table(path):
    if path == MESSAGES:
        return ANTHROPIC_INVALID
    if path == RESPONSES:
        return {**INVALID, **RESPONSES_INVALID}
    return {**INVALID, **OPENAI_ONLY_INVALID, **(CHAT_INVALID if "chat" in path else COMPLETIONS_INVALID)}


def minimal_body(path):
    if path == MESSAGES:
        return {"messages": [{"role": "user", "content": "x"}], "max_tokens": 4}
    if path == RESPONSES:
        return {"input": "x", "max_output_tokens": 4}
    if "chat" in path:
        return {"messages": [{"role": "user", "content": "x"}], "max_tokens": 4}
    return {"prompt": "x", "max_tokens": 4}


def invalid_case(rng):
    """A good request but for one field."""
    path = rng.choice([CHAT, COMPLETIONS, DATABRICKS_CHAT, DATABRICKS_COMPLETIONS, RESPONSES, MESSAGES])
    kind = rng.randrange(10)
    if kind == 0:
        return Case(path, rng.choice(BODIES), 400)
    if kind == 1:
        return Case(path, {**minimal_body(path), "model": "other"}, 404, "model")
    if kind == 2 and path.startswith("/serving-endpoints"):
        return Case(path, {**minimal_body(path), "n": 6}, 400, "n")
    table = invalid_table(path)
    field = rng.choice(sorted(table))
    body = {**minimal_body(path), field: rng.choice(table[field]), "stream": rng.choice([True, False])}
    if field == "stream":
        body["stream"] = rng.choice(table[field])
    return Case(path, body, 400, field)


def make_cases(seed, n):
    """The first n of an endless list: about half of them are good, and each of these comes about four times."""
    rng = random.Random(seed)
    pool = [valid_case(rng, f"marker-{i}") for i in range(max(1, n // 8))]
    cases = []
    for _ in range(n):
        if rng.random() < 0.45:
            cases.append(invalid_case(rng))
        else:
            case = rng.choice(pool)
            cases.append(dataclasses.replace(case, body={**case.body, "stream": rng.choice([True, False])}))
    return cases
