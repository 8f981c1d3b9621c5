"""Whether an answer is right, per task. Standard library only."""

import json
import subprocess
import sys

RUN_SECONDS = 5


def same_json(answer, expected):
    """Equal as parsed JSON, numbers by value; the order of keys does not count."""
    try:
        return json.loads(answer) == json.loads(expected)
    except ValueError:
        return False


def passes(answer, check):
    """Runs the function in a process of its own and compares it with the expected one on the check's arguments."""
    program = (
        "import json, sys\n"
        "spec = json.load(sys.stdin)\n"
        "def load(text):\n"
        "    space = {}\n"
        "    exec(text, space)\n"
        "    return space[spec['function']]\n"
        "ours, right = load(spec['answer']), load(spec['expected'])\n"
        "print(all(ours(*c) == right(*c) and type(ours(*c)) == type(right(*c)) for c in spec['cases']))\n")
    spec = dict(check, answer=code_of(answer), expected=code_of(check["expected"]))
    try:
        done = subprocess.run([sys.executable, "-I", "-c", program], input=json.dumps(spec), capture_output=True,
                              text=True, timeout=RUN_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return done.stdout.strip() == "True"


def code_of(answer):
    """The text inside the first code fence, or all of it."""
    if "```" not in answer:
        return answer
    inside = answer.split("```")[1]
    return inside[len("python"):] if inside.startswith("python") else inside


def is_right(sample, answer):
    expected = sample["messages"][-1]["content"]
    answer = answer.strip()
    if sample["task"] == "extract":
        return same_json(answer, expected)
    if sample["task"] == "code":
        return passes(answer, dict(sample["check"], expected=expected))
    return answer == expected
