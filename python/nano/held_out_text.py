"""Prints held-out conversations as the model sees them, one a line {"text": ...}: text for `dbrx perplexity`.

Needs the standard library only.
"""

import argparse
import json

import chat_format
import data


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=40, help="conversations per task")
    parser.add_argument("--seed", type=int, default=2024)
    args = parser.parse_args()
    for task in data.MEASURED:
        for sample in data.held_out(task, args.n, args.seed):
            print(json.dumps({"text": "".join(part for part, _ in chat_format.render(sample["messages"]))}))


if __name__ == "__main__":
    main()
