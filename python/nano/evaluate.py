"""Measures dbrx-nano on held-out data, through an OpenAI-compatible server or (--local) with the torch model.

Prints a table and, with --card, writes it into the model card between its markers. Asking a server needs the standard
library only. Greedy answers (temperature 0); nothing is retried: a failed request is a wrong answer and is counted.
"""

import argparse
import concurrent.futures
import datetime
import json
import pathlib
import time
import urllib.request

import data
import score

MODEL = pathlib.Path(__file__).resolve().parents[2] / "models" / "dbrx-nano"
MAX_TOKENS = 160
WHAT = {"pii": "PII: exact label", "extract": "JSON extraction: equal parsed JSON", "passage_qa": "QA over one passage: exact answer",
        "ten_passage_qa": "QA over ten passages: exact answer", "sql": "Text to SQL: exact query",
        "code": "Python functions: passes its checks",
        "tools": "Function calls: exact call or reply", "arithmetic": "Arithmetic: exact result", "chat": "Chat, last turn: exact reply"}


def ask(url, model, messages):
    body = json.dumps(dict(model=model, messages=messages, temperature=0, max_tokens=MAX_TOKENS)).encode()
    request = urllib.request.Request(f"{url}/v1/chat/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as reply:
        return json.loads(reply.read())["choices"][0]["message"]["content"] or ""


def ask_all(url, samples, concurrency):
    """Answers in order; None where the request failed, with the first error printed."""
    with urllib.request.urlopen(f"{url}/v1/models", timeout=30) as reply:
        model = json.loads(reply.read())["data"][0]["id"]
    failed = []

    def one(sample):
        try:
            return ask(url, model, sample["messages"][:-1])
        except OSError as error:
            failed.append(str(error))
            return None

    with concurrent.futures.ThreadPoolExecutor(concurrency) as pool:
        answers = list(pool.map(one, samples))
    if failed:
        print(f"{len(failed)} requests failed, the first with: {failed[0]}")
    return answers


def answer_locally(samples, folder, batch=50):
    import torch
    from tokenizers import Tokenizer

    import checkpoint
    import generate
    torch.set_num_threads(1)
    model, tokenizer = checkpoint.load(folder), Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    out = []
    for i in range(0, len(samples), batch):
        out += generate.answers(model, tokenizer, [s["messages"][:-1] for s in samples[i:i + batch]], MAX_TOKENS)
    return out


def replace_between(path, name, text):
    page = path.read_text()
    begin, end = f"<!-- {name} begin -->", f"<!-- {name} end -->"
    head, rest = page.split(begin)
    path.write_text(f"{head}{begin}\n{text}\n{end}{rest.split(end)[1]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--local", action="store_true", help="use the torch model instead of a server")
    parser.add_argument("--model", type=pathlib.Path, default=MODEL, help="folder of the weights, for --local")
    parser.add_argument("-n", type=int, default=200, help="samples per task")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--task", action="append", help="only this task (may be repeated)")
    parser.add_argument("--wrong", type=int, default=0, help="print this many wrong answers per task")
    parser.add_argument("--card", action="store_true", help="write the table into the model card")
    parser.add_argument("--label", default=None, help="how the model was run, for the card")
    args = parser.parse_args()

    label = args.label or ("the torch model, fp32" if args.local else f"the server at {args.url}")
    rows = ["| task and measure | right | of | share |", "|---|---|---|---|"]
    print(rows[0], rows[1], sep="\n")
    start = time.time()
    for task in args.task or data.MEASURED:
        samples = data.held_out(task, args.n)
        answers = answer_locally(samples, args.model) if args.local else ask_all(args.url, samples, args.concurrency)
        marks = [a is not None and score.is_right(s, a) for s, a in zip(samples, answers)]
        rows.append(f"| {WHAT[task]} | {sum(marks)} | {len(marks)} | {100 * sum(marks) / len(marks):.1f} % |")
        print(rows[-1], flush=True)
        for sample, answer, right in [t for t in zip(samples, answers, marks) if not t[2]][:args.wrong]:
            print("   asked   ", repr(sample["messages"][-2]["content"]))
            print("   expected", repr(sample["messages"][-1]["content"]))
            print("   got     ", repr(answer))
    print(f"{time.time() - start:.0f} seconds")
    if args.card:
        rows.append(f"\nMeasured on {datetime.date.today()} with {label}, greedy, {args.n} held-out samples per task.")
        replace_between(MODEL / "README.md", "accuracy", "\n".join(rows))


if __name__ == "__main__":
    main()
