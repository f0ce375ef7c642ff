"""The firmware's own choice of algorithms is enough for the servers there are: OpenSSL's own one, with other keys."""

import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "Firmware" / "out"
RUN = {"x86_64": [str(OUT / "edge-x86_64")], "arm64": ["qemu-aarch64-static", str(OUT / "edge-arm64")]}
KEYS = {
    "rsa": ["-newkey", "rsa:2048"],
    "p256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
    "p384": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1"],
    "ed25519": ["-newkey", "ed25519"],
}
TLS_1_2 = {
    "rsa": ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"],
    "p256": ["ECDHE-ECDSA-AES256-GCM-SHA384"],
    "p384": ["ECDHE-ECDSA-AES128-GCM-SHA256"],
}
TLS_1_3 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]


class Handshakes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "password").write_text("secret\n")
        (self.folder / "password").chmod(0o600)
        for name, options in KEYS.items():
            subprocess.run(["openssl", "req", "-x509", "-nodes", *options, "-keyout", self.folder / f"{name}.key", "-out",
                            self.folder / f"{name}.pem", "-days", "2", "-subj", "/CN=localhost",
                            "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)

    def agreed(self, arch, key, *options):
        """What the server says was agreed on when the firmware called it; the call itself gets no SIP answer."""
        server = subprocess.Popen(
            ["openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-cert", self.folder / f"{key}.pem",
             "-key", self.folder / f"{key}.key", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        client = None
        try:
            port = re.search(r"ACCEPT 127\.0\.0\.1:(\d+)", server.stdout.readline() + server.stdout.readline())[1]
            client = subprocess.Popen(
                [*RUN[arch], "devices", "--rendezvous", f"sips:127.0.0.1:{port}", "--user", "somebody", "--password-file",
                 self.folder / "password", "--ca", self.folder / f"{key}.pem"],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                env=dict(os.environ, XDG_STATE_HOME=str(self.folder)))
            said = ""
            for line in server.stdout:
                said += line
                if line.startswith("SUBSCRIBE ") or "ERROR" in line:
                    break
            return said
        finally:
            for process in (server, client):
                if process:
                    process.kill()
                    process.communicate()

    def test_certificates_and_cipher_suites_of_other_servers_are_understood(self):
        self.notes = []
        for arch in RUN:
            started = time.monotonic()
            for key in KEYS:
                suites = [("-tls1_3", "-ciphersuites", suite) for suite in (TLS_1_3 if key == "rsa" else TLS_1_3[:1])]
                suites += [("-tls1_2", "-cipher", suite) for suite in TLS_1_2.get(key, [])]
                for suite in suites:
                    with self.subTest(arch=arch, key=key, suite=suite[-1]):
                        said = self.agreed(arch, key, *suite)
                        self.assertIn(f"CIPHER is {suite[-1]}", said)
                        self.assertIn("SUBSCRIBE ", said)
            self.notes.append(f"{arch}: {len(KEYS)} kinds of key, {time.monotonic() - started:.1f} s")
