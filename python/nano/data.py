"""The seeded stream of conversations that dbrx-nano is trained and measured on; nothing is downloaded.

A sample is {"task", "messages"} and, for code, a "check". `python data.py` prints a few of each task.
"""

import argparse
import random

from task_chat import arithmetic, chat, copy, lookup
from task_code import code
from task_extract import extract
from task_pii import pii
from task_qa import passage_qa, ten_passage_qa
from task_sql import sql
from task_tools import tools
from words import Maker

TASKS = {"pii": pii, "extract": extract, "passage_qa": passage_qa, "ten_passage_qa": ten_passage_qa, "sql": sql,
         "code": code, "tools": tools, "arithmetic": arithmetic, "chat": chat, "copy": copy, "lookup": lookup}
MEASURED = ["pii", "extract", "passage_qa", "ten_passage_qa", "sql", "code", "tools", "arithmetic", "chat"]

# Shares of samples before and after copying is learned. Drills come first: extraction, questions and SQL all copy
# invented words out of the prompt, and a model that cannot copy learns only the form of their answers.
EARLY = {"pii": 2, "extract": 15, "passage_qa": 10, "ten_passage_qa": 0, "sql": 8, "code": 3, "tools": 1, "arithmetic": 3, "chat": 3,
         "copy": 41, "lookup": 14}
LATE = {"pii": 6, "extract": 32, "passage_qa": 25, "ten_passage_qa": 4, "sql": 8, "code": 4, "tools": 10, "arithmetic": 3,
        "chat": 6, "copy": 1, "lookup": 1}

PLAIN_SYSTEM = ["You are a helpful assistant.", "You are an assistant.", "Answer briefly.", "Be brief and correct."]


def training_sample(rng, late):
    """One training conversation; `late` (0 to 1) moves the mix from drills to tasks."""
    names = list(TASKS)
    weights = [EARLY[n] * (1 - late) + LATE[n] * late for n in names]
    m = Maker(rng.getrandbits(48), "train")
    sample = TASKS[rng.choices(names, weights)[0]](m)
    # Without a system message the template adds the default one; servers also see none at all, or another.
    if sample["messages"][0]["role"] != "system":
        draw = rng.random()
        if draw < 0.35:
            sample["messages"].insert(0, {"role": "system", "content": ""})
        elif draw < 0.45:
            sample["messages"].insert(0, {"role": "system", "content": rng.choice(PLAIN_SYSTEM)})
    return sample


def held_out(task, n, seed=2024):
    """n held-out samples of a task; the last message is the expected answer."""
    rng = random.Random(f"{seed}-{task}")
    return [TASKS[task](Maker(rng.getrandbits(48), "held")) for _ in range(n)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--held", action="store_true", help="print held-out samples")
    parser.add_argument("--task", default=None)
    parser.add_argument("-n", type=int, default=2)
    args = parser.parse_args()
    for name in [args.task] if args.task else TASKS:
        for i in range(args.n):
            sample = TASKS[name](Maker(1000 + i, "held" if args.held else "train"))
            print(f"=== {name}")
            for message in sample["messages"]:
                print(f"<{message['role']}> {message['content']}")


if __name__ == "__main__":
    main()
