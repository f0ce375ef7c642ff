"""sipp, a SIP tester nobody here wrote, logs in with MD5 and is refused with a wrong password."""

import pathlib

from harness import Case
from harness.scenes import one_machine

HERE = pathlib.Path(__file__).resolve().parent


class Sipp(Case):
    seconds = 90

    def setUp(self):
        super().setUp()
        self.machine, self.server, self.node = one_machine(self, listen={"msrp": "127.0.0.1:2855"})
        self.server.account("old-phone", password="opensesame", md5=True)
        # The flow identifies itself by its domain, which sipp is given as the service.
        self.users = self.folder / "users.csv"

    def sipp(self, scenario, user, password, transport="u1", calls=3, callee=""):
        self.users.write_text(f"SEQUENTIAL\n{user};[authentication username={user} password={password}];{callee}\n")
        return self.complete([
            "sipp", "127.0.0.1:5060", "-sf", HERE / scenario, "-inf", self.users, "-s", "rv.example.org", "-t", transport,
            "-i", "127.0.0.1", "-p", "5090", "-m", str(calls), "-r", "10", "-nostdin", "-timeout", "20",
            "-timeout_error", "-trace_err", "-error_file", self.folder / "sipp.log"], self.machine, timeout=40,
            cwd=self.folder)

    def told(self):
        log = self.folder / "sipp.log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else ""

    def test_it_registers_with_md5_over_udp_and_tcp(self):
        # One call over TCP: a connection proves its account once, and the scenario wants to be asked.
        for transport, calls in (("u1", 3), ("t1", 1)):
            done = self.sipp("register.xml", "old-phone", "opensesame", transport, calls)
            self.assertEqual(done.returncode, 0, f"{transport}: {done.stdout[-1500:]}{self.told()}")

    def test_it_subscribes_to_messages_and_sends_itself_some(self):
        done = self.sipp("messages.xml", "old-phone", "opensesame", "t1", 1)
        self.assertEqual(done.returncode, 0, f"{done.stdout[-1500:]}{self.told()}")

    def test_it_publishes_a_device_and_watches_it(self):
        self.server.account("old-box", password="opensesame", node=True, md5=True)
        done = self.sipp("presence.xml", "old-box", "opensesame", "t1", 1)
        self.assertEqual(done.returncode, 0, f"{done.stdout[-1500:]}{self.told()}")

    def test_the_offline_service_answers_for_who_is_not_there_and_leaves_the_end_to_the_caller(self):
        # Who may watch a node's camera may write to the node.
        self.server.grant("old-phone", "CAM-1")
        self.node.ready()
        self.node.process.stop()
        self.server.wait_serial("CAM-1", 20, present=False)
        for transport, calls in (("u1", 20), ("t1", 1)):
            done = self.sipp("offline.xml", "old-phone", "opensesame", transport, calls, callee="gate-box")
            self.assertEqual(done.returncode, 0, f"{transport}: {done.stdout[-1500:]}{self.told()}")
            self.note(f"{calls} calls over {transport}: each answered for the node, none ended by the service")

    def test_a_wrong_password_is_refused(self):
        done = self.sipp("refused.xml", "old-phone", "guess", calls=2)
        self.assertEqual(done.returncode, 0, f"{done.stdout[-1500:]}{self.told()}")
        # The scenario itself can fail: with the right password there is no second 401.
        self.assertNotEqual(self.sipp("refused.xml", "old-phone", "opensesame", calls=1).returncode, 0)

    def test_an_account_without_md5_is_not_offered_it(self):
        self.server.account("new-phone", password="opensesame")
        self.assertNotEqual(self.sipp("register.xml", "new-phone", "opensesame", calls=1).returncode, 0)
        self.assertNotRegex(self.told(), r'algorithm="?MD5\b')
