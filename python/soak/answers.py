"""What an answer says, whatever its dialect and whether it was streamed: what two answers to one request have in
common."""

import json


def events(body):
    """The JSON values of a stream's data lines; [DONE] as a string."""
    lines = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def call_of(function):
    return [function["name"], function["arguments"]]


def openai_whole(answer):
    said = {}
    for choice in answer["choices"]:
        message = choice.get("message") or {}
        logprobs = choice.get("logprobs") or {}
        said[choice["index"]] = {
            "text": (choice.get("text") or message.get("content") or ""),
            "calls": [call_of(call["function"]) for call in message.get("tool_calls") or []],
            "logprobs": logprobs.get("content") or logprobs.get("token_logprobs") or [],
            "token_ids": choice.get("token_ids") or [],
            "finish": choice["finish_reason"]}
    return said


def openai_stream(stream):
    *chunks, done = stream
    if done != "[DONE]":
        raise ValueError(f"the stream ends with {done}")
    said = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        so_far = said.setdefault(
            choice["index"], {"text": "", "calls": [], "logprobs": [], "token_ids": [], "finish": None})
        delta = choice.get("delta") or {}
        so_far["text"] += choice.get("text") or delta.get("content") or ""
        for call in delta.get("tool_calls") or []:
            if call.get("id"):
                so_far["calls"].append([call["function"]["name"], ""])
            so_far["calls"][call["index"]][1] += call["function"].get("arguments", "")
        logprobs = choice.get("logprobs") or {}
        so_far["logprobs"] += logprobs.get("content") or logprobs.get("token_logprobs") or []
        so_far["token_ids"] += choice.get("token_ids") or []
        so_far["finish"] = choice["finish_reason"] or so_far["finish"]
    return said


def responses_whole(answer):
    messages = [item for item in answer["output"] if item["type"] == "message"]
    parts = [part for message in messages for part in message["content"]]
    return {"text": "".join(part["text"] for part in parts),
            "calls": [call_of(item) for item in answer["output"] if item["type"] == "function_call"],
            "logprobs": [token for part in parts for token in part["logprobs"]],
            "metadata": answer["metadata"], "finish": [answer["status"], answer["incomplete_details"]]}


def responses_stream(stream):
    # The last event repeats the whole answer but for the logprobs; the deltas must say the same.
    *_, last = stream
    said = responses_whole(last["response"])
    deltas = [event for event in stream if event["type"] == "response.output_text.delta"]
    if "".join(event["delta"] for event in deltas) != said["text"]:
        raise ValueError("the deltas are not the text")
    said["logprobs"] = [token for event in deltas for token in event["logprobs"]]
    return said


def anthropic_whole(answer):
    blocks = answer["content"]
    return {"text": "".join(block["text"] for block in blocks if block["type"] == "text"),
            "calls": [[block["name"], block["input"]] for block in blocks if block["type"] == "tool_use"],
            "finish": [answer["stop_reason"], answer["stop_sequence"]]}


def anthropic_stream(stream):
    if stream[-1]["type"] != "message_stop":
        raise ValueError(f"the stream ends with {stream[-1]}")
    said = {"text": "", "calls": [], "finish": None}
    for event in stream:
        if event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use":
            said["calls"].append([event["content_block"]["name"], ""])
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            if delta["type"] == "text_delta":
                said["text"] += delta["text"]
            else:
                said["calls"][-1][1] += delta["partial_json"]
        elif event["type"] == "message_delta":
            said["finish"] = [event["delta"]["stop_reason"], event["delta"]["stop_sequence"]]
    said["calls"] = [[name, input_of(arguments, said["finish"][0])] for name, arguments in said["calls"]]
    return said


def input_of(arguments, stop_reason):
    """Of a call; a whole answer has none of one that was cut off."""
    try:
        return json.loads(arguments or "{}")
    except json.JSONDecodeError:
        if stop_reason != "max_tokens":
            raise
        return {}


READERS = {"openai": (openai_whole, openai_stream), "responses": (responses_whole, responses_stream),
           "anthropic": (anthropic_whole, anthropic_stream)}


def said_by(dialect, answer):
    """Texts, calls, logprobs and ends. Raises ValueError or KeyError for an answer that is not whole."""
    whole, stream = READERS[dialect]
    if answer.headers["content-type"].startswith("text/event-stream"):
        return stream(events(answer.body))
    return whole(json.loads(answer.body))
