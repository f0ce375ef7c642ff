"""Why does it not connect: the kind of NAT, and what `edge doctor` makes of a broken set-up."""

import json

from harness import Case
from harness import nat
from harness.network import Network
from harness.nodes import DOMAIN, Node, Server
from harness.scenes import TwoHomes

WORDS = {"EIM": "endpoint-independent", "ADM": "address-dependent", "APDM": "address-and-port-dependent",
         "EIF": "endpoint-independent", "ADF": "address-dependent", "APDF": "address-and-port-dependent"}


class Home:
    """A node behind a router of its own; the server has `addresses` of them."""

    def __init__(self, case, rules="masq", addresses=2, relay=None):
        self.network = Network(case)
        self.server_machine = self.network.host("s", *[10, 11][:addresses])
        self.machine, self.router = self.network.home("a", 1, 101, rules)
        for machine in (self.machine, self.server_machine):
            machine.hosts({DOMAIN: "203.0.113.10"})
        more = ["203.0.113.11"] if addresses == 2 else []
        self.server = Server(case, self.server_machine, more_addresses=more, relay=relay).start()
        self.node = Node(case, self.machine, self.server)

    def rules(self, name):
        self.router.rules(nat.rules(name, "203.0.113.101"))
        self.router.flush_connections()


class KindOfNAT(Case):
    seconds = 100

    def test_status_tells_each_kind_of_router(self):
        home = Home(self)
        for rules, kind in (("masq", "EIM APDF"), ("masq_random", "APDM APDF"), ("jhash_adm", "ADM APDF"),
                            ("fullcone", "EIM EIF"), ("restricted", "EIM ADF")):
            home.rules(rules)
            home.node.ready()
            told = self.wait_until(
                lambda: (nat := (home.node.status() or {}).get("nat", {})).get("mapping") != "unknown" and nat, 10,
                lambda: f"{rules}: {home.node.status()['nat']}")
            self.assertEqual([told["mapping"], told["filtering"]], [WORDS[word] for word in kind.split()], rules)
            self.assertTrue(told["public_address"].startswith("203.0.113.101:"), told)
            home.node.process.stop()
            self.note(f"{rules}: {told}")


class Doctor(Case):
    seconds = 120

    def ask(self, home, *more):
        """What `edge doctor` finds, by code, and its exit status."""
        done = home.node.command("doctor", "--json", *more)
        self.assertIn(done.returncode, (0, 1, 2), done.stderr)
        report = json.loads(done.stdout)
        return {finding["code"]: finding for finding in report["findings"]}, done.returncode

    def test_nothing_is_wrong_behind_a_home_router(self):
        home = Home(self, relay={"external-ip": "203.0.113.10"})
        home.node.ready()
        found, code = self.ask(home)
        self.assertEqual([each for each in found.values() if each["state"] != "ok"], [])
        self.assertEqual(code, 0)
        self.assertIn("endpoint-independent", found["nat"]["text"])
        self.assertIn("UDP", found["relay"]["text"])
        text = home.node.command("doctor").stdout
        for finding in found.values():
            self.assertIn(f"ok      {finding['code']}: ", text)
        self.assertIn("logged in since", found["heartbeat"]["text"])
        for finding in found.values():
            self.note(f"{finding['code']}: {finding['text']}")

    def test_a_symmetric_router_blocked_udp_and_a_missing_relay_are_named(self):
        home = Home(self)
        home.node.ready()
        home.rules("masq_random")
        found, code = self.ask(home)
        self.assertEqual((found["nat"]["state"], found["relay"]["state"], code), ("warning", "problem", 1))
        self.assertIn("symmetric", found["nat"]["remedy"])
        home.rules("noudp")
        found, _ = self.ask(home)
        self.assertEqual(found["udp"]["text"], "no answer over UDP, though TCP gets through")
        self.assertIn("firewall", found["udp"]["remedy"])

    def test_what_keeps_a_node_from_logging_in_is_named(self):
        home = Home(self)
        node = home.node
        node.start().wait_link("connected", 20)
        node.process.stop()
        password = node.account.password_file
        right = password.read_text()
        password.write_text("wrong")
        found, code = self.ask(home)
        self.assertEqual((found["login"]["state"], found["daemon"]["state"], code), ("problem", "warning", 1))
        password.write_text(right)
        home.server.process.stop()
        found, _ = self.ask(home)
        self.assertEqual(found["link"]["state"], "problem")
        self.assertIn("refused", found["link"]["text"])
        home.machine.hosts({})
        found, _ = self.ask(home)
        self.assertEqual(found["name"]["state"], "problem")
        self.assertNotIn("link", found)


class Explain(Case):
    seconds = 100

    def test_a_viewer_says_why_the_path_is_what_it_is(self):
        scene = TwoHomes(self, b="masq_random", relay={"ports": "50000-50999"})
        scene.node.ready()
        process = scene.viewer.view("CAM-1", "--frames", "60", "--explain")
        self.assertEqual(process.wait(60), 0, process.text())
        lines = [line for line in process.text().splitlines() if line.startswith("edge: explain: ")]
        text = "\n".join(lines)
        self.assertRegex(text, r"-> srflx 203\.0\.113\.101:\d+: no answer")
        self.assertRegex(text, "relay .*: in use")
        self.assertIn("this side: mapping address-and-port-dependent", text)
        self.assertIn("the path is the relay because this router takes another port for every peer", text)
        for line in lines:
            self.note(line)

    def test_the_same_as_json(self):
        scene = TwoHomes(self, b="masq_random", relay={"ports": "50000-50999"})
        scene.node.ready()
        # Long enough for both sides to learn what their routers do.
        process = scene.viewer.view("CAM-1", "--duration", "8", "--explain", "--json")
        self.assertEqual(process.wait(60), 0, process.text())
        told = [json.loads(line) for line in process.text().splitlines() if line.startswith("{")]
        self.assertEqual(len(told), 1, process.text())
        told = told[0]
        self.assertEqual((told["serial"], told["path"]["kind"]), ("CAM-1", "relay"))
        self.assertEqual(told["relay"], {"found": True, "failure": None})
        self.assertEqual(told["nat"]["here"]["mapping"], WORDS["APDM"])
        self.assertEqual(told["nat"]["node"]["mapping"], WORDS["EIM"])
        self.assertIn("takes another port for every peer", told["verdict"])
        self.assertTrue(told["remedy"])
        self.assertEqual(told["server"]["uri"], "sips:rv.example.org:5061")
        self.assertLess(told["server"]["heartbeat_age_ms"], 60_000)
        used = [pair["fate"] for pair in told["pairs"] if pair["selected"]]
        self.assertEqual(len(used), 1)
        self.assertTrue(used[0].startswith("in use"), used)
        self.assertTrue(any(pair["fate"].startswith("no answer") for pair in told["pairs"]), told["pairs"])
