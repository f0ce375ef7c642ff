"""aiortc as the viewer: signals through our server and completes ICE, DTLS and SCTP with `edge`."""

import json
import pathlib

from harness import Case
from harness.scenes import TwoHomes, one_machine

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = HERE.parents[1] / ".venv" / "bin" / "python3"


class Aiortc(Case):
    seconds = 120

    def viewer(self, server, machine, *more, address="127.0.0.1", tls=True, user="browser", serials=("CAM-1",)):
        self.assertTrue(PYTHON.exists(), ".venv is missing; `make interop` makes it")
        password = server.account(user)
        server.grant(user, *serials)
        where = ["--server", f"{address}:5061", "--ca", server.ca] if tls else ["--server", f"{address}:5060"]
        return self.complete([PYTHON, HERE / "aiortc_viewer.py", "CAM-1", *where, "--user", user, "--password-file",
                              password, *more], machine, timeout=90)

    def right(self, done, count):
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual((told["frames"], told["wrong"]), (count, 0), told)
        self.assertEqual(told["bye"], 200)
        self.note(f"answered after {told['answer_ms']} ms, first frame after {told['first_frame_ms']} ms, "
                  f"{told['raw_bytes'] / told['bytes']:.1f} times smaller than raw")
        return told

    def stock_zlib(self, form):
        machine, server, node = one_machine(self, cameras=[
            {"serial": "CAM-1", "source": "testcard", "format": form, "size": "320x240", "fps": 15}])
        node.ready()
        self.right(self.viewer(server, machine, "--frames", "20"), 20)

    def test_yuyv_frames_inflated_with_stock_zlib_have_the_right_checksums(self):
        self.stock_zlib("YUYV")

    def test_nv12_frames_inflated_with_stock_zlib_have_the_right_checksums(self):
        self.stock_zlib("NV12")

    def test_a_call_without_an_offer_gets_the_nodes(self):
        machine, server, node = one_machine(self)
        node.ready()
        self.right(self.viewer(server, machine, "--frames", "10", "--offerless"), 10)

    def test_it_punches_through_two_routers_over_plain_tcp_signalling(self):
        scene = TwoHomes(self)
        scene.node.ready()
        done = self.viewer(scene.server, scene.b, "--frames", "20", "--stun", "203.0.113.10:3478",
                           address="203.0.113.10", tls=False)
        self.right(done, 20)

    def test_an_account_without_a_grant_gets_the_answer_of_an_unknown_serial(self):
        machine, server, node = one_machine(self)
        node.ready()
        done = self.viewer(server, machine, user="stranger", serials=())
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(json.loads(done.stdout), {"refused": 404})
