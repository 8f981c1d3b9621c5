"""Starts `dbrx serve` and stops it again. Needs no client."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("DBRX_BINARY", str(ROOT / "build/release/dbrx"))
MODEL = os.environ.get("DBRX_MODEL", str(ROOT / "models/dbrx-nano"))


class DbrxServer:
    """A running `dbrx serve` on a free port; `prefix` is the command that runs it, if there is one."""

    def __init__(self, *flags, prefix=()):
        self.process = subprocess.Popen(
            [*prefix, BINARY, "serve", "--model", MODEL, "--port", "0", *flags],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.log = []
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.url = None
        for line in self.process.stdout:
            found = re.search(r"https?://127\.0\.0\.1:\d+", line)
            if found:
                self.url = found.group(0)
                break
        if self.url is None:
            self.process.wait()
            self._reader.join()
            raise RuntimeError(f"no URL was printed; the log:\n{''.join(self.log)}")
        # Where the page is; behind the # the token of who started a server without keys.
        self.token = self.process.stdout.readline().partition("#token=")[2].strip()
        self.port = int(self.url.rsplit(":", 1)[1])

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=120):
        """The exit code. When it is there, the log is whole."""
        code = self.process.wait(seconds)
        self._reader.join()
        return code

    def stop(self):
        if self.process.poll() is None:
            self.terminate()
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.process.kill()
                print("".join(self.log), file=sys.stderr)
                raise
        self.process.stdout.close()
        self.process.stderr.close()
