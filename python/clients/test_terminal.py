"""`dbrx chat` as a person uses it, over a pseudo-terminal, and the other commands of the terminal."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

import pytest

from conftest import BINARY, MODEL, ROOT

PROMPT = "> "


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *command, state_home):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(XDG_STATE_HOME=str(state_home), TERM="dumb")
            os.execv(command[0], command)
        self.text = ""

    def read_until(self, pattern, seconds=300):
        """What came since the last call, up to and including the pattern."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"no {pattern!r} in {self.text!r}")
            self.text += os.read(self.fd, 65536).decode(errors="replace")
        seen, self.text = self.text[:found.end()], self.text[found.end():]
        return seen

    def send(self, text, seconds=300):
        """Types at the prompt, once the line editor has the terminal: before, keys would mean something else."""
        deadline = time.monotonic() + seconds
        while termios.tcgetattr(self.fd)[3] & termios.ICANON:
            if time.monotonic() > deadline:
                raise AssertionError(f"the line editor does not begin; so far {self.text!r}")
            time.sleep(0.002)
        os.write(self.fd, text.encode())

    def exit_code(self):
        """Reads to the end and waits."""
        while True:
            if not select.select([self.fd], [], [], 120)[0]:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError("the program does not end")
            try:
                if not os.read(self.fd, 65536):
                    break
            except OSError:  # Linux reports the end of a terminal this way
                break
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def chat(tmp_path):
    def start(*flags):
        terminal = Terminal(BINARY, "chat", "--model", MODEL, *flags, state_home=tmp_path)
        terminal.read_until(re.escape(PROMPT))
        return terminal
    return start


def test_a_question_is_answered_and_the_program_leaves_cleanly(chat):
    terminal = chat("--temperature", "0", "--max-tokens", "20")
    terminal.send("Who are you?\n")
    answer = terminal.read_until(r"tokens, [0-9.]+ per second")
    assert len(answer.splitlines()) >= 2
    terminal.read_until(re.escape(PROMPT))
    terminal.send("/quit\n")
    assert terminal.exit_code() == 0


def test_a_message_may_begin_with_a_slash(chat):
    terminal = chat("--temperature", "0", "--max-tokens", "5")
    terminal.send("/etc/hosts?\n")
    terminal.read_until("unknown command /etc/hosts")
    terminal.read_until(re.escape(PROMPT))
    terminal.send("//etc/hosts?\n")
    terminal.read_until(r"tokens, [0-9.]+ per second")
    terminal.read_until(re.escape(PROMPT))
    terminal.send("/quit\n")
    assert terminal.exit_code() == 0


def test_ctrl_c_stops_the_answer_and_not_the_program(chat):
    terminal = chat("--temperature", "2", "--top-p", "1")
    for _ in range(20):  # a hot answer may end by itself before the signal arrives
        terminal.send("Tell me a very long story.\n")
        terminal.read_until(r"story\.\r?\n\s*\S")  # the answer begins
        os.kill(terminal.pid, signal.SIGINT)
        if "stopped" in terminal.read_until(r"per second[^)]*\)"):
            break
    else:
        raise AssertionError("no answer was stopped")
    terminal.read_until(re.escape(PROMPT))
    terminal.send("/help\n")
    terminal.read_until("/reset")
    terminal.read_until(re.escape(PROMPT))
    terminal.send("\x04")  # Ctrl-D
    assert terminal.exit_code() == 0


def test_ctrl_c_at_the_prompt_does_not_end_the_program(chat):
    terminal = chat()
    terminal.send("half a line")
    terminal.read_until("half a line")
    terminal.send("\x03")
    terminal.read_until(re.escape(PROMPT))
    terminal.send("/quit\n")
    assert terminal.exit_code() == 0


def test_system_prompt_and_reset_change_the_conversation(chat):
    terminal = chat("--temperature", "0", "--max-tokens", "8")
    for command, reply in (("/system Answer in one word.", r"\(system prompt set\)"), ("/system", "Answer in one word."),
                           ("/reset", r"\(conversation forgotten\)"), ("/nonsense", "unknown command /nonsense")):
        terminal.send(command + "\n")
        terminal.read_until(re.escape(command) + r"\r?\n")  # the echo
        terminal.read_until(reply)
        terminal.read_until(re.escape(PROMPT))
    terminal.send("/quit\n")
    assert terminal.exit_code() == 0


def test_the_system_prompt_is_part_of_what_the_model_reads(chat):
    terminal = chat("--max-model-len", "64", "--max-tokens", "1")
    for system, outcome in (("short", r"1 tokens"), ("word " * 80, r"fills the context of 64 tokens")):
        terminal.send(f"/system {system}\n")
        terminal.read_until("system prompt set")
        terminal.send("Hello\n")
        terminal.read_until(outcome)
        terminal.send("/reset\n")
        terminal.read_until("forgotten")
    terminal.send("/quit\n")
    assert terminal.exit_code() == 0


def test_lines_are_remembered_between_sessions_in_any_script_and_locale(chat, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    line = "Sag etwas Schönes, 你好"
    for expected in (None, line):
        terminal = chat("--max-tokens", "4")
        if expected:
            terminal.send("\x10")  # Ctrl-P: the line before
            terminal.read_until(expected)
            terminal.send("\n")
        else:
            terminal.send(line + "\n")
        terminal.read_until("per second")
        terminal.read_until(re.escape(PROMPT))
        terminal.send("\x04")
        assert terminal.exit_code() == 0


def test_a_pipe_works_without_a_terminal():
    result = subprocess.run([BINARY, "chat", "--model", MODEL, "--temperature", "0", "--max-tokens", "8"],
                            input="Hello\n/reset\nHello\n", capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    first, second = result.stdout.split("(conversation forgotten)\n")
    assert first == second != ""


def test_inspect_knows_the_released_model_from_its_config_alone():
    result = subprocess.run([BINARY, "inspect", "--model", ROOT / "testdata/dbrx"], capture_output=True, text=True)
    assert result.returncode == 0
    for fact in ("131,596,523,520", "323 tensors", "36,469,708,800", "35,853,146,112", "C(16, 4) = 1,820", "163,840 B"):
        assert fact in result.stdout


def run(*command):
    return subprocess.run([BINARY, *command], capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_a_packed_model_is_made_verified_and_used(tmp_path):
    packed = tmp_path / "packed"
    made = run("quantize", "--model", MODEL, "--out", packed)
    assert made.returncode == 0 and made.stderr.endswith("100 %\n")
    assert run("verify", "--model", packed).returncode == 0
    assert run("verify", "--model", MODEL).returncode == 1  # has no checksums
    again = run("quantize", "--model", MODEL, "--out", packed)
    assert again.returncode == 1 and "not empty" in again.stderr
    answers = [subprocess.run([BINARY, "chat", "--model", packed, "--temperature", "0", "--activations", activations],
                              input="Who are you?\n", capture_output=True, text=True) for activations in ("exact", "fast")]
    assert all(a.returncode == 0 and a.stdout.strip() for a in answers)
    weights = packed / "layer-0003.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5000] ^= 1
    weights.write_bytes(content)
    damaged = run("verify", "--model", packed)
    assert damaged.returncode == 1 and "layer-0003.safetensors" in damaged.stderr and "checksum" in damaged.stderr


def test_a_benchmark_reports_rows_with_shares_that_can_be_compared(tmp_path):
    reports = [tmp_path / "a.json", tmp_path / "b.json"]
    for report in reports:
        made = run("bench", "--model", MODEL, "--rounds", "1", "--sequences", "1,3", "--prefill", "32", "--json", report)
        assert made.returncode == 0 and "roof: read " in made.stdout
    report = json.loads(reports[0].read_text())
    assert report["roof"]["read_bytes_per_s"] > 0 and report["machine"]["threads"] > 0
    assert [(r["test"], r["sequences"], r["tokens"]) for r in report["rows"]] == [
        ("decode", 1, 1), ("decode", 3, 3), ("prefill", 1, 32), ("memory", 1, 1)]
    assert all(r["value"] > 0 for r in report["rows"])
    assert report["rows"][0]["share"] > 0
    compared = run("bench", "compare", *reports)
    assert compared.returncode == 0 and compared.stdout.count("x") >= 3
    wrong = run("bench", "compare", reports[0], MODEL + "/config.json")
    assert wrong.returncode == 1 and "config.json: not a report" in wrong.stderr
    assert run("bench").returncode == 1


def test_a_benchmark_takes_lists_of_what_it_varies(tmp_path):
    report = tmp_path / "report.json"
    made = run("bench", "--model", MODEL, "--rounds", "1", "--test", "decode,layer,kernel,start", "--sequences", "2", "--prefill", "4",
               "--context", "0,64", "--kernel-rows", "1,3", "--kv-cache-dtype", "int8", "--json", report)
    assert made.returncode == 0, made.stderr
    rows = json.loads(report.read_text())["rows"]
    assert {(r["test"], r["sequences"], r["tokens"], r["context"]) for r in rows if r["test"] in ("decode", "layer")} == {
        ("decode", 2, 2, 0), ("decode", 2, 2, 64), ("layer", 2, 2, 0), ("layer", 2, 2, 64), ("layer", 1, 4, 0), ("layer", 1, 4, 64)}
    assert {r["tokens"] for r in rows if r["test"] == "kernel"} == {1, 3}
    assert {r["shape"] for r in rows if r["test"] == "start"} == {"warm ready", "warm token", "cold ready", "cold token"}


@pytest.mark.parametrize("flag", [("--layers", "2"), ("--vocab", "64"), ("--format", "int8"), ("--routing", "zipf")])
def test_a_flag_of_the_synthetic_model_is_refused_beside_a_real_one(flag):
    refused = run("bench", "--model", MODEL, *flag)
    assert refused.returncode != 0 and flag[0] in refused.stderr and "--model" in refused.stderr


@pytest.mark.parametrize("command", ["serve", "chat", "inspect", "tokenize"])
def test_a_missing_model_directory_is_named(command):
    result = subprocess.run([BINARY, command, "--model", "/no/such/model"], capture_output=True, text=True,
                            stdin=subprocess.DEVNULL)
    assert result.returncode == 1
    assert "/no/such/model" in result.stderr and len(result.stderr.splitlines()) == 1


def test_the_last_model_named_counts():
    """scripts/run.sh names the default model first."""
    result = subprocess.run([BINARY, "chat", "--model", MODEL, "--model", "/no/such/model"], capture_output=True, text=True,
                            stdin=subprocess.DEVNULL)
    assert result.returncode == 1 and "/no/such/model" in result.stderr


def test_a_half_downloaded_model_is_named(tmp_path):
    for path in (ROOT / "models/dbrx-nano").iterdir():
        content = path.read_bytes()
        (tmp_path / path.name).write_bytes(content[:len(content) // 2] if path.suffix == ".safetensors" else content)
    result = subprocess.run([BINARY, "serve", "--model", tmp_path, "--port", "0"], capture_output=True, text=True)
    assert result.returncode == 1
    assert "model.safetensors" in result.stderr and "truncated" in result.stderr


def test_an_instruction_set_that_the_machine_lacks_is_refused():
    result = subprocess.run([BINARY, "chat", "--model", MODEL, "--isa", "sse9"], capture_output=True, text=True)
    assert result.returncode == 1 and "sse9" in result.stderr
