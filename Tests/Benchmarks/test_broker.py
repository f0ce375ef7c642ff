"""The message broker: beside Kamailio's relay, and 200,000 messages while everybody is killed again and again."""

import asyncio
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

from harness import Case, Network, Server
from harness.nodes import DOMAIN
from sip_client import SIPClient
from test_messages import Crashes

HERE = pathlib.Path(__file__).resolve().parent
ACCOUNTS = 200
PASSWORD = "opensesame"
# Ours writes every message to the disk and forgets it only when every terminal has it; a relay keeps nothing.
WORST_CPU_RATIO = 4


class LongCrashes(Crashes):
    seconds = 1500
    SENDERS = 10
    RECEIVERS = 20
    EACH = 1000
    KILLS = 60
    PAUSE = 0

    def test_no_message_of_200_000_is_lost_or_given_twice_though_everybody_is_killed(self):
        super().test_no_message_is_lost_after_its_2xx_or_given_twice_though_everybody_is_killed()

    # By its longer name only.
    test_no_message_is_lost_after_its_2xx_or_given_twice_though_everybody_is_killed = None


def start_kamailio(case, machine=None, address="127.0.0.1"):
    """Returns the process and its control socket."""
    case.assertTrue(shutil.which("kamailio"), "kamailio is missing: make bench installs it")
    database, control = case.folder / "database", case.folder / "ctl"
    shutil.copytree("/usr/share/kamailio/dbtext/kamailio", database)
    config = case.folder / "kamailio.cfg"
    config.write_text((HERE / "kamailio_messages.cfg").read_text().replace("DATABASE", str(database))
                      .replace("CONTROL", str(control)).replace("127.0.0.1", address))
    process = case.start("kamailio", ["kamailio", "-DD", "-E", "-f", config, "-m", "256", "-Y", case.folder], machine)
    listens = lambda: f"{address}:5070" in case.complete(["ss", "-lun"], machine).stdout
    case.wait_until(lambda: listens() or not process.running(), 10, lambda: f"kamailio does not listen: {process.kept_tail()}")
    case.assertTrue(process.running(), process.kept_tail())
    return process, control


class Broker(Case):
    seconds = 400

    def setUp(self):
        super().setUp()
        self.machine = Network(self).namespace("box")
        self.machine.hosts({DOMAIN: "127.0.0.1"})
        self.server = Server(self, self.machine, address="127.0.0.1").start()
        self.kamailio, _ = start_kamailio(self, self.machine)

    # MARK: Messages

    def send(self, port, calls):
        started = time.monotonic()
        done = self.complete([
            "sipp", f"127.0.0.1:{port}", "-sf", HERE / "message.xml", "-inf", self.users, "-s", DOMAIN, "-t", "ui",
            "-ip_field", "2", "-i", "127.0.0.1", "-p", "5090", "-m", calls, "-r", 4000, "-l", 100, "-max_socket", "1000",
            "-nostdin", "-timeout", "120", "-timeout_error", "-trace_err", "-error_file", self.folder / "sipp.log"],
            self.machine, timeout=150, cwd=self.folder)
        log = self.folder / "sipp.log"
        self.assertEqual(done.returncode, 0, f"{port}: {done.stdout[-1500:]}"
                         f"{log.read_text(errors='replace')[:1500] if log.exists() else ''}")
        return time.monotonic() - started

    def test_messages_beside_kamailio(self):
        self.users = self.folder / "users.csv"
        lines = ["SEQUENTIAL"]
        for number in range(ACCOUNTS):
            name = f"phone-{number}"
            self.server.account(name, password=PASSWORD, md5=True)
            lines.append(f"{name};[authentication username={name} password={PASSWORD}];127.0.1.{number + 1}")
        self.users.write_text("\n".join(lines) + "\n")
        figures, calls = {}, 4000
        programs = (("edge-rendezvous", 5060, self.server.process), ("kamailio", 5070, self.kamailio))
        terminals = {}
        for name, port, _ in programs:
            terminals[name] = self.start(f"terminals-{name}", [sys.executable, HERE / "terminals.py", f"127.0.0.1:{port}",
                                                               DOMAIN, ACCOUNTS, PASSWORD], self.machine,
                                         stdin=subprocess.PIPE)
            terminals[name].wait_for("^ready", 60)
            self.send(port, ACCOUNTS)
        # In turns, so that what else the machine does falls on both.
        for turn in range(2):
            for name, port, process in programs:
                before = process.session_cpu_seconds()
                took = self.send(port, calls)
                wanted = ACCOUNTS + calls * (turn + 1)
                self.wait_until(lambda: f"got {wanted}" in terminals[name].text(), 30,
                                lambda: f"{name}: not {wanted}: {terminals[name].kept_tail(3)}")
                cpu = (process.session_cpu_seconds() - before) / calls * 1e6
                figures.setdefault(name, []).append((cpu, calls / took))
        (ours, our_rate), (theirs, their_rate) = (
            (min(cpu for cpu, _ in figures[name]), max(rate for _, rate in figures[name])) for name, _, _ in programs)
        self.note(f"one message (MESSAGE, 407, MESSAGE with MD5 digest, to the terminal and back) over UDP: edge-rendezvous, "
                  f"which stores it, {our_rate:.0f} a second and {ours:.0f} us of a core each; kamailio, which relays it, "
                  f"{their_rate:.0f} a second and {theirs:.0f} us; ratio of time {ours / theirs:.2f} (at most {WORST_CPU_RATIO})")
        self.assertLessEqual(ours, WORST_CPU_RATIO * theirs)


class SubscriptionMemory(Case):
    seconds = 200
    needs_root = False

    def test_memory_for_each_subscription_beside_kamailio(self):
        accounts, each = 40, 50
        # All of 127.0.0.0/8 is this machine: an address of this test's own.
        pid = os.getpid()
        address = f"127.{pid >> 14 & 127 or 1}.{pid >> 7 & 127}.{pid & 127 or 1}"
        server = Server(self, None, address=address).start()
        kamailio, control = start_kamailio(self, address=address)
        for number in range(accounts):
            server.account(f"phone-{number}", password=PASSWORD)

        def kamailio_bytes():
            text = self.complete(["kamcmd", "-s", f"unix:{control}", "core.shmmem"]).stdout
            return int(re.search(r"used: (\d+)", text)[1])

        async def subscribe(client, event, accept):
            response, _ = await client.exchange(client.outside("SUBSCRIBE", f"sip:{client.user}@{DOMAIN}", [
                ("Contact", client.contact), ("Event", event), ("Accept", accept), ("Expires", "3000")]))
            self.assertIn(response.status, (200, 202), f"{event}: {response.start}")

        async def hold(port, measure, event, accept):
            """Bytes for each, beyond the first of each connection."""
            clients = []
            for number in range(accounts):
                client = SIPClient(f"phone-{number}", PASSWORD, DOMAIN)
                await client.connect(address, port)
                await subscribe(client, event, accept)
                clients.append(client)
            await asyncio.sleep(1)
            before = measure()
            for client in clients:
                for _ in range(each):
                    await subscribe(client, event, accept)
            await asyncio.sleep(1)
            grown = (measure() - before) / (accounts * each)
            for client in clients:
                await client.close()
            return grown

        ours = asyncio.run(hold(5060, server.process.resident_bytes, "im", "message/cpim"))
        theirs = asyncio.run(hold(5070, kamailio_bytes, "presence", "application/pidf+xml"))
        self.note(f"memory for each subscription: edge-rendezvous {ours / 1000:.2f} kB, kamailio {theirs / 1000:.2f} kB "
                  f"(shared memory), ratio {ours / theirs:.2f}")
        self.assertLessEqual(ours, 8000)
