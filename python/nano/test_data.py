"""Checks of the generated data: the split is clean, and every expected answer is one that the score accepts.

Run: python test_data.py  (or pytest)
"""

import json
import re

import data
import score
import task_chat
import task_code
import task_extract
import task_pii
import task_qa
import task_sql
import task_tools
from words import Maker, Wordings, is_held_out


def spelled_out(text):
    """Every text a wording with [a|b] choices can become."""
    found = re.search(r"\[([^\[\]]*)\]", text)
    if not found:
        return {text}
    return {t for option in found.group(1).split("|")
            for t in spelled_out(text[:found.start()] + option + text[found.end():])}


def all_wordings(value):
    if isinstance(value, Wordings):
        yield value
    elif isinstance(value, dict):
        yield from all_wordings(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from all_wordings(v)


def test_no_held_out_wording_can_be_made_in_training():
    for module in (task_chat, task_code, task_extract, task_pii, task_qa, task_sql, task_tools):
        for w in all_wordings([v for v in vars(module).values()]):
            train = {t for text in w.train for t in spelled_out(text)}
            held = {t for text in w.held for t in spelled_out(text)}
            assert not train & held, train & held


def test_names_belong_to_the_side_of_their_maker():
    for split in ("train", "held"):
        m = Maker(1, split)
        for _ in range(300):
            for word in (m.word(), m.name_word(), m.first(), m.last(), m.city()):
                assert is_held_out(word) == (split == "held")


def test_the_same_seed_gives_the_same_data():
    for task in data.TASKS:
        assert data.held_out(task, 3) == data.held_out(task, 3)


def test_every_expected_answer_is_right_and_a_changed_one_is_wrong():
    for task in data.MEASURED:
        for sample in data.held_out(task, 20):
            expected = sample["messages"][-1]["content"]
            assert score.is_right(sample, expected), expected
            assert not score.is_right(sample, expected[:-1] + "#"), expected


def test_answers_of_extraction_are_json_with_the_values_of_the_text():
    for sample in data.held_out("extract", 50):
        text = sample["messages"][0]["content"]
        for value in json.loads(sample["messages"][-1]["content"]).values():
            assert str(value) in text or isinstance(value, float)


def test_function_calls_are_json_with_the_declared_arguments():
    for seed in range(200):
        for message in task_tools.tools(Maker(seed, "train"))["messages"]:
            for call in re.findall(r"<tool_call>(.*?)</tool_call>", message["content"] if message["role"] == "assistant" else ""):
                call = json.loads(call)
                schema = task_tools.schema(call["name"])["parameters"]
                assert list(call["arguments"]) == schema["required"]
                for name, value in call["arguments"].items():
                    assert isinstance(value, str) == (schema["properties"][name]["type"] == "string")


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
