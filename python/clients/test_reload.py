"""Certificates that are replaced while the server runs, as cert-manager does it: files change, and no signal is sent."""

import re
import shutil
import ssl
import subprocess

import httpx
import pytest

from conftest import MODEL
from test_operations import make_certificate, run_serve
from waiting import PATIENCE, wait_for_log, wait_until


class Secret:
    """A folder like those that Kubernetes mounts: its files are links through ..data, which is replaced as a whole."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("cert.pem", "key.pem"):
            (folder / name).symlink_to(f"..data/{name}")
        self.n = 0

    def replace(self, make):
        """With what `make` writes into a folder."""
        self.n += 1
        version = self.folder / f"..version{self.n}"
        version.mkdir()
        make(version)
        link = self.folder / "..new"
        link.symlink_to(version.name)
        link.rename(self.folder / "..data")
        return version


def shown(server):
    """The certificate that a new connection gets."""
    return ssl.get_server_certificate(("127.0.0.1", server.port), timeout=PATIENCE)


def metric(server, name):
    text = httpx.get(server.url + "/metrics", verify=False, timeout=PATIENCE).text
    return float(re.search(rf"^{re.escape(name)} (\S+)", text, re.MULTILINE)[1])


@pytest.fixture
def secret(tmp_path):
    secret = Secret(tmp_path)
    secret.first = secret.replace(lambda folder: make_certificate(folder, "first"))
    return secret


def flags(folder):
    return "--ssl-certfile", folder / "cert.pem", "--ssl-keyfile", folder / "key.pem"


def expiry(certificate):
    text = subprocess.check_output(["openssl", "x509", "-in", certificate, "-noout", "-enddate"], text=True)
    return ssl.cert_time_to_seconds(text.strip().partition("=")[2])


def encrypt(key):
    plain = key.rename(key.with_suffix(".plain"))
    subprocess.run(["openssl", "pkey", "-in", plain, "-aes256", "-passout", "pass:secret", "-out", key], check=True)


def test_a_new_certificate_holds_without_a_signal(start_server, secret):
    server = start_server(*flags(secret.folder))
    assert shown(server) == (secret.first / "cert.pem").read_text()
    assert metric(server, "dbrx:certificate_expiry_timestamp_seconds") == expiry(secret.first / "cert.pem")
    with httpx.Client(verify=False, timeout=PATIENCE) as before:  # a connection that stays
        assert before.get(server.url + "/livez").status_code == 200
        second = secret.replace(lambda folder: make_certificate(folder, "second", days=30))
        wait_until(lambda: shown(server) == (second / "cert.pem").read_text())
        assert before.get(server.url + "/livez").status_code == 200
    assert metric(server, "dbrx:certificate_expiry_timestamp_seconds") == expiry(second / "cert.pem")
    third = secret.replace(lambda folder: None)
    for name in ("key.pem", "cert.pem"):  # one after the other, in place
        shutil.copy(secret.first / name, third / name)
    wait_until(lambda: shown(server) == (secret.first / "cert.pem").read_text())


def test_a_certificate_that_can_not_be_used_leaves_the_old_one(start_server, secret):
    server = start_server(*flags(secret.folder))
    successful = 'dbrx:file_last_read_successful{file="certificate"}'

    def make_foreign_key(folder):
        make_certificate(folder, "other")
        shutil.copy(secret.first / "key.pem", folder)

    def make_encrypted(folder):
        make_certificate(folder, "other")
        encrypt(folder / "key.pem")

    for make, words in ((make_foreign_key, "private key"), (make_encrypted, "is encrypted"), (lambda folder: None, "No such file")):
        secret.replace(make)
        assert "the old content stays in force" in wait_for_log(server, words)
        assert shown(server) == (secret.first / "cert.pem").read_text() and metric(server, successful) == 0
    assert metric(server, 'dbrx:file_failed_reads_total{file="certificate"}') >= 3
    last = secret.replace(lambda folder: make_certificate(folder, "last"))
    wait_until(lambda: shown(server) == (last / "cert.pem").read_text())
    assert metric(server, successful) == 1


def test_nobody_is_asked_for_the_password_of_a_key(secret):
    encrypt(secret.first / "key.pem")
    refused = run_serve("--model", MODEL, *flags(secret.folder))
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 1 and refused.stdout == ""
    assert "key.pem: is encrypted" in refused.stderr and "openssl pkey" in refused.stderr


def test_handshakes_that_fail_are_counted(start_server, secret):
    server = start_server(*flags(secret.folder))
    with pytest.raises(httpx.HTTPError):
        httpx.get(server.url.replace("https", "http") + "/livez", timeout=PATIENCE)
    refused = r'^dbrx:connections_refused_total\{.*reason="tls_handshake".*\} 1$'
    wait_until(lambda: re.search(refused, httpx.get(server.url + "/metrics", verify=False).text, re.MULTILINE))
