"""Networks that are no two homes on the public net."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "System"))

from harness import Case  # noqa: E402
from harness.grid import Carrier, OneRouter, PublicHost  # noqa: E402
from test_guess_ports import Guessing  # noqa: E402

SKEWS = (0, 0.3)


class Extra(Case):
    seconds = 300

    def check(self, bench, cells, skews=SKEWS):
        results = [bench.cell(a, b, skew, expects) for a, b, expects in cells for skew in skews]
        for result in results:
            self.note(result.line())
        self.assertEqual([result.line() for result in results if result.fault], [])
        return results

    def test_a_public_host_meets_every_router(self):
        self.check(PublicHost(self), [
            (rules, "public", "direct")
            for rules in ("masq", "masq_noindrop", "masq_random", "jhash_adm", "fullcone", "restricted")])

    def test_two_machines_on_one_network_use_their_own_addresses(self):
        results = self.check(OneRouter(self), [("masq", "public", "direct")])
        self.assertEqual({result.path for result in results}, {"host"})

    def test_two_networks_of_one_router_that_keeps_them_apart_need_the_relay(self):
        self.check(OneRouter(self, apart=True), [("masq", "public", "relay")])

    def test_two_homes_of_one_carrier_meet_only_if_it_hairpins(self):
        self.check(Carrier(self), [("masq", "masq", "relay"), ("fullcone", "masq", "relay"),
                                   ("restricted", "masq", "relay"), ("fullcone_hair", "masq", "direct")])

    def test_a_home_behind_a_carrier_is_as_strict_as_the_stricter_of_the_two(self):
        self.check(Carrier(self, both=False), [
            ("masq", "masq", "direct"), ("fullcone", "masq", "direct"), ("restricted", "masq", "direct"),
            ("masq_fullyrandom", "masq", "relay")])


class Guesses(Guessing):
    """The other way round: the viewer keeps its port."""

    def test_a_node_that_takes_another_port_for_every_peer(self):
        self.assertIn(self.attempt("masq_random", "masq")["path"], ("srflx", "prflx"))
