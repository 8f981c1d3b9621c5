"""Debian's Prometheus, scraping one server."""

import json
import os
import pathlib
import re
import subprocess
import time
import urllib.parse
import urllib.request

from dbrx_server import ROOT


def folder():
    """Of prometheus and promtool."""
    return pathlib.Path(subprocess.check_output([ROOT / "scripts/prometheus.sh"], text=True).strip())


class Prometheus:
    """Its queries are about now, or about the moment when freeze() was called."""

    def __init__(self, directory, port):
        config = directory / "prometheus.yml"
        config.write_text(json.dumps({  # JSON is YAML
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{"job_name": "dbrx", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}]}))
        self.moment = None
        self.log = (directory / "prometheus.log").open("w+")
        self.process = subprocess.Popen(
            [folder() / "prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}",
             "--web.listen-address=127.0.0.1:0"],
            stdout=self.log, stderr=subprocess.STDOUT, cwd=directory, env={**os.environ, "GOMAXPROCS": "1"})
        try:
            self.url = self._wait_for(lambda: self._url_of_log(directory / "prometheus.log"))
            self._wait_for(lambda: self.query("up") and self.query("up")[0]["value"][1] == "1")
        except BaseException:
            self.stop()
            raise

    @staticmethod
    def _url_of_log(path):
        """None until it listens, on a port of its own choice."""
        found = re.search(r'msg="?Listening on"? address=(127\.0\.0\.1:\d+)', path.read_text())
        return found and f"http://{found.group(1)}"

    def _wait_for(self, condition, seconds=300):
        end = time.monotonic() + seconds
        while True:
            try:
                if met := condition():
                    return met
            except OSError:
                pass
            if time.monotonic() > end or self.process.poll() is not None:
                self.log.seek(0)
                raise AssertionError("Prometheus did not get so far; its log:\n" + self.log.read()[-4000:])
            time.sleep(0.1)

    def get(self, path, **query):
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(query)}", timeout=120) as answer:
            return json.load(answer)

    def query(self, expression):
        """The series that an expression gives."""
        answer = self.get("/api/v1/query", query=expression, **({"time": self.moment} if self.moment else {}))
        assert answer["status"] == "success"
        return answer["data"]["result"]

    def value(self, expression):
        """Of an expression that gives one series."""
        (series,) = self.query(expression)
        return float(series["value"][1])

    def wait_for_scrapes(self, n=3):
        """Until so many more scrapes have succeeded."""
        counted = 'sum_over_time(up[1h])'
        before = self.value(counted)
        self._wait_for(lambda: self.value(counted) >= before + n)

    def freeze(self):
        """What is asked from here on is asked about the last scrape, however long the asking takes."""
        self.moment = self.query("timestamp(up)")[0]["value"][1]

    def stop(self):
        self.process.terminate()
        self.process.wait(120)
        self.log.close()
