"""baresip, linphone and Kamailio as peers of a test: started, driven and read."""

import json
import pathlib
import re
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
MODULES = "/usr/lib/baresip/modules"
# Sends one command to baresip's control port and prints the answer (netstrings of JSON).
CONTROL = """
import json, socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as control:
    command = json.dumps({"command": sys.argv[2], "params": sys.argv[3], "token": "t"}).encode()
    control.sendall(b"%d:%s," % (len(command), command))
    control.settimeout(5)
    print(control.recv(65536).decode(errors="replace"))
"""


class Baresip:
    def __init__(self, case, machine, name, domain, server, transport, contacts, port=14444):
        self.case, self.machine, self.name, self.port = case, machine, name, port
        self.folder = case.folder / f"baresip-{name}-{domain}"
        self.folder.mkdir()
        modules = "".join(f"module {each}.so\n" for each in ("account", "contact", "menu", "ctrl_tcp", "g711"))
        (self.folder / "config").write_text(
            f"poll_method epoll\nmodule_path {MODULES}\n{modules}ctrl_tcp_listen 127.0.0.1:{port}\n")
        (self.folder / "accounts").write_text(
            f'<sip:{name}@{domain};transport={transport}>;auth_pass=secret-{name};regint=600;'
            f'outbound="sip:{server};transport={transport}"\n')
        (self.folder / "contacts").write_text("".join(f'"{each}" <sip:{each}@{domain}>\n' for each in contacts))
        self.contacts = contacts

    def start(self):
        # -s writes every SIP message to the log.
        self.process = self.case.start(f"baresip-{self.name}", ["baresip", "-f", self.folder, "-s"], self.machine)
        self.process.wait_for(r"200 OK .*\[\d+ binding", 10)
        return self

    def control(self, command, parameters=""):
        done = self.case.complete(["python3", "-c", CONTROL, self.port, command, parameters], self.machine)
        # What it answers to `quit` may be cut off by its end.
        self.case.assertRegex(done.stdout, '"ok":true|"type":"SHUTDOWN"', done.stderr)

    def send(self, receiver, text):
        """To one of its contacts; the first is the current one."""
        self.case.assertEqual(receiver, self.contacts[0])
        self.control("message", text)

    def got(self, text, seconds=10):
        self.process.wait_for(r"^" + re.escape(text) + r"(\x1b|$)", seconds)


class Linphone:
    def __init__(self, case, machine, name, domain, server, transport="tcp"):
        self.case, self.machine, self.name, self.domain = case, machine, name, domain
        self.home = case.folder / f"linphone-{name}-{domain}"
        # It keeps its chats there, and fails without the folder.
        (self.home / ".local" / "share" / "linphone").mkdir(parents=True)
        self.config = self.home / "linphonerc"
        self.config.write_text(f"""\
[sip]
sip_port={-1 if transport == "udp" else 0}
sip_tcp_port={-1 if transport == "tcp" else 0}
sip_tls_port=0
guess_hostname=0
default_proxy=0
[misc]
log_collection=0
[proxy_0]
reg_proxy=<sip:{server};transport={transport}>
reg_route=<sip:{server};transport={transport};lr>
reg_identity=sip:{name}@{domain}
reg_expires=600
reg_sendregister=1
publish=0
[auth_info_0]
username={name}
passwd=secret-{name}
realm={domain}
""")

    def start(self):
        self.process = self.case.start(
            f"linphone-{self.name}", ["linphone-daemon", "--config", self.config, "--log", self.home / "log"],
            self.machine, stdin=subprocess.PIPE, environment={"HOME": str(self.home), "PATH": "/usr/bin:/bin"})
        self.case.wait_until(self.registered, 15, lambda: f"linphone is not registered:\n{self.process.text()[-800:]}")
        return self

    def command(self, text):
        self.process.popen.stdin.write(f"{text}\n".encode())
        self.process.popen.stdin.flush()

    def registered(self):
        self.command("register-status ALL")
        return "LinphoneRegistrationOk" in self.process.text()

    def send(self, receiver, text):
        self.command(f"message sip:{receiver}@{self.domain} {text}")

    def got(self, text, seconds=10):
        self.process.wait_for(rf'^Content: "{re.escape(text)}"', seconds)


class Kamailio:
    def __init__(self, case, machine, domain, address="127.0.0.2"):
        self.case, self.machine, self.domain, self.address = case, machine, domain, address
        self.folder = case.folder / "kamailio"
        self.folder.mkdir()
        shutil.copytree("/usr/share/kamailio/dbtext/kamailio", self.folder / "db")
        self.config = self.folder / "kamailio.cfg"
        text = (HERE / "kamailio.cfg").read_text()
        for name, value in (("ADDRESS", address), ("DOMAIN", domain), ("FOLDER", str(self.folder))):
            text = text.replace(name, value)
        self.config.write_text(text)

    def start(self):
        self.process = self.case.start(
            "kamailio", ["kamailio", "-f", self.config, "-DD", "-E", "-m", "32", "-M", "4", "-w", self.folder,
                         "-Y", self.folder], self.machine)
        self.case.wait_until(self.listens, 10, lambda: f"kamailio does not listen:\n{self.process.text()}")
        return self

    def listens(self):
        return f"{self.address}:5060" in self.machine.run("ss", "-ltn")


def lines(process):
    """What a program that prints one JSON object per line has said so far."""
    return [json.loads(line) for line in process.text().splitlines() if line.startswith("{")]
