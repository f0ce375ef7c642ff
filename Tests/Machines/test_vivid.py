"""The real driver: the firmware binary captures from the kernel's virtual camera inside a virtual machine.

The guest runs in a network namespace of its own, behind QEMU's own NAT; server and viewer are outside.
"""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Firmware"))
import machine  # noqa: E402

from harness import Case, Network, Server, Viewer  # noqa: E402
from harness.nodes import DOMAIN, yaml  # noqa: E402

FRAMES = 100
RAW_BYTES = {"YUYV": 640 * 480 * 2, "NV12": 640 * 480 * 3 // 2}


class Scene:
    """Server and viewer on public addresses, the virtual machine on a host of its own."""

    def __init__(self, case, arch, cameras, **guest):
        self.case = case
        network = Network(case)
        self.server_machine, self.viewer_machine = network.host("s", 10), network.host("v", 20)
        self.host = network.host("q", 30)
        for each in (self.server_machine, self.viewer_machine):
            each.hosts({DOMAIN: "203.0.113.10"})
        self.server = Server(case, self.server_machine).start()
        password = self.server.account("gate-box", node=True)
        self.viewer = Viewer(case, self.viewer_machine, self.server, serials=[each["serial"] for each in cameras])
        settings = {
            "node": {"name": "gate-box", "state-dir": "/var/lib/edge", "status-socket": "/run/edge/status.sock"},
            "rendezvous": {"uri": f"sips:{DOMAIN}:5061", "account": "gate-box", "password-file": "/etc/edge/password",
                           "ca-file": "/etc/edge/ca.pem"},
            "cameras": cameras}
        files = {"/etc/edge/edge.yaml": yaml(settings), "/etc/edge/password": password.read_text(),
                 "/etc/edge/ca.pem": self.server.ca.read_text(),
                 "/etc/hosts": f"127.0.0.1 localhost\n203.0.113.10 {DOMAIN}\n"}
        program = guest.pop("program", ["/bin/edge", "run", "--config", "/etc/edge/edge.yaml"])
        files.update(guest.pop("files", {}))
        self.guest = machine.Guest(arch, program, files, **guest)
        edge = machine.HERE / "out" / f"edge-{arch}"
        case.assertTrue(edge.exists(), f"{edge} was not built; `make firmware` builds it")
        self.image = self.guest.image(case.folder / "image")

    def boot(self, *more):
        """Returns the running machine and how long it took to publish."""
        started = time.monotonic()
        process = self.case.start(f"guest-{self.guest.arch}", [*self.guest.command(self.image), *more], self.host)
        process.wait_for("init: starting", 60)
        booted = time.monotonic() - started
        self.server.wait_serial("CAM-1", 60)
        self.case.note(f"{self.guest.arch}: booted to init in {booted:.1f} s, published after "
                       f"{time.monotonic() - started:.1f} s")
        return process


def unbroken(scene, frames, serial, seconds):
    """Figures of pictures that came one after the other, of three attempts: an emulated machine may be too slow for
    its own camera while a session begins. Each checksum is right in every attempt."""
    for _ in range(3):
        figures = scene.viewer.frames(frames, serial, seconds)
        scene.case.assertEqual(figures["checksum_errors"], 0, figures)
        if figures["frames_lost"] == 0:
            break
    return figures


class Vivid(Case):
    seconds = 240
    weight = 2

    def hundred_frames(self, arch, form):
        scene = Scene(self, arch, [{"serial": "CAM-1", "device": "/dev/video0", "format": form, "size": "640x480",
                                    "fps": 25}])
        process = scene.boot()
        figures = unbroken(scene, FRAMES, "CAM-1", 60)
        # Every frame's checksum was verified by the viewer; a wrong or missing one is in frames_lost.
        self.assertEqual(figures["frames_lost"], 0, figures)
        self.assertEqual(figures["raw_bytes"], FRAMES * RAW_BYTES[form])
        self.assertIn(figures["path"], ("srflx", "prflx"))
        self.assertTrue(process.running())
        self.assertNotIn("ended with", process.text())
        self.note(f"{arch} {form}: {figures['fps']} frames/s, {figures['raw_bytes'] / figures['bytes']:.1f} times smaller, "
                  f"path {figures['path']}")

    def test_yuyv_on_x86_64(self):
        self.hundred_frames("x86_64", "YUYV")

    def test_nv12_on_x86_64(self):
        self.hundred_frames("x86_64", "NV12")

    def test_yuyv_on_arm64(self):
        self.hundred_frames("arm64", "YUYV")

    def test_nv12_on_arm64(self):
        self.hundred_frames("arm64", "NV12")


class Trouble(Case):
    seconds = 240
    weight = 2

    def test_a_clock_at_1970_is_told_and_not_mistaken_for_a_bad_certificate(self):
        scene = Scene(self, "x86_64", [{"serial": "CAM-1", "source": "testcard", "size": "320x240", "fps": 5}])
        process = self.case_start(scene, "-rtc", "base=1970-01-02T00:00:00")
        process.wait_for(r"(?i)clock", 60)
        self.assertTrue(process.running())
        self.assertNotIn("was ended by", process.text())
        self.assertNotIn("ended with", process.text())

    def test_a_camera_unplugged_mid_stream_is_told_and_comes_back(self):
        driver = "/sys/bus/platform/drivers/vivid"
        scene = Scene(
            self, "x86_64", [{"serial": "CAM-1", "device": "/dev/video0", "format": "YUYV", "size": "640x480", "fps": 25},
                             {"serial": "CAM-2", "source": "testcard", "size": "320x240", "fps": 5}],
            program=["/bin/poke", "45", f"{driver}/unbind", "vivid.0", "15", f"{driver}/bind", "vivid.0", "--",
                     "/bin/edge", "run", "--config", "/etc/edge/edge.yaml"],
            files={"/bin/poke": (machine.HERE / "out" / "poke-x86_64").read_bytes()})
        process = scene.boot()
        self.assertEqual(unbroken(scene, 5, "CAM-1", 30)["frames_lost"], 0)
        watching = scene.viewer.view("CAM-1", "--duration", "90")
        process.wait_for(r"unbind: done", 60)
        # The other camera does not notice.
        self.assertEqual(unbroken(scene, 5, "CAM-2", 30)["frames_lost"], 0)
        process.wait_for(r"/bind: done", 40)
        time.sleep(1)
        self.wait_until(lambda: self.shows(scene), 60, lambda: f"the camera did not come back:\n{process.kept_tail()}")
        self.assertRegex(process.text(), r"(?i)unplugged")
        self.assertNotIn("ended with", process.text())
        self.assertIn(watching.wait(100), (0, 1), watching.text())

    def shows(self, scene):
        process = scene.viewer.view("CAM-1", "--frames", "5", "--duration", "15")
        try:
            return process.wait(20) == 0
        except AssertionError:
            process.stop()
            return False

    def case_start(self, scene, *more):
        process = self.start("guest", [*scene.guest.command(scene.image), *more], scene.host)
        process.wait_for("init: starting", 60)
        return process
