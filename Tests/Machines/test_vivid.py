"""The real driver: the firmware binary captures from the kernel's virtual camera inside a virtual machine.

The guest runs in a network namespace of its own, behind QEMU's own NAT; server and viewer are outside.
"""

import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "Firmware"))
import machine  # noqa: E402

from harness import Case, Network, Server, Viewer  # noqa: E402
from harness.nodes import DOMAIN, interrupt, yaml  # noqa: E402

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
        process = self.case.start(f"guest-{self.guest.arch}", [*self.guest.command(self.image), *more], self.host,
                                  stdin=subprocess.PIPE)
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

    def case_start(self, scene, *more):
        process = self.start("guest", [*scene.guest.command(scene.image), *more], scene.host)
        process.wait_for("init: starting", 60)
        return process


def told_json(text):
    """The JSON among what the console says: lines of a log begin with something else."""
    text = "\n".join(line for line in text.replace("\r", "").split("\n") if line[:1] in ("{", " ", "}"))
    return json.loads(text[text.index("{"):text.rindex("}") + 1])


class Watcher:
    """Reads raw pictures from a pipe as they come, and keeps what each was."""

    def __init__(self, case, path, size, luma):
        self.path, self.size, self.luma = path, size, luma
        # (seconds, kind, mean level) of each; the kind is "picture" or "placeholder".
        self.seen = collections.deque(maxlen=100_000)
        os.mkfifo(path)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        with open(self.path, "rb") as file:
            while len(picture := file.read(self.size)) == self.size:
                samples = self.luma(picture)
                # The placeholder is of two levels.
                kind = "placeholder" if len(set(samples)) <= 2 else "picture"
                self.seen.append((time.monotonic(), kind, sum(samples) / len(samples)))

    def kinds(self):
        """What was seen one after the other, each once."""
        kinds = []
        for _, kind, _ in list(self.seen):
            if not kinds or kinds[-1] != kind:
                kinds.append(kind)
        return kinds

    def last(self):
        return self.seen[-1] if self.seen else (0, None, 0)

    def longest_gap(self):
        times = [at for at, _, _ in list(self.seen)]
        return max((b - a for a, b in zip(times, times[1:])), default=0)


class Cameras(Case):
    """Two cameras of the real driver at once, from plugging in to plugging out."""

    seconds = 240
    weight = 2

    def say(self, process, line, answer, seconds=30):
        """Has the guest do something, and waits for what it says then."""
        before = len(process.text())
        process.popen.stdin.write(line.encode() + b"\n")
        process.popen.stdin.flush()
        found = []

        def answered():
            found[:] = [re.search(answer, process.text()[before:])]
            return found[0]
        self.wait_until(answered, seconds, lambda: f"{line}: no /{answer}/ in\n{process.kept_tail()}")
        return process.text()[before:]

    def watch(self, scene, serial, size, luma, name):
        watcher = Watcher(self, self.folder / f"{name}.pipe", size, luma)
        process = scene.viewer.view(serial, "--duration", "120", output=watcher.path)
        process.wait_for("first picture", 30)
        return watcher, process

    def command(self, scene, *arguments):
        return self.complete([self.program("edge"), "camera", *arguments, *scene.viewer.options()], scene.viewer_machine,
                             env=scene.viewer.environment())

    def test_two_cameras_settings_gaps_latency_and_a_plug_pulled_mid_stream(self):
        driver = "/sys/bus/platform/drivers/vivid"
        files = {"/bin/poke": (machine.HERE / "out" / "poke-x86_64").read_bytes(), "/etc/edge/anna": "secret of anna"}
        scene = Scene(
            self, "x86_64", [
                {"serial": "CAM-1", "device": "/dev/video0", "format": "YUYV", "size": "640x480", "fps": 15},
                {"serial": "CAM-2", "device": "/dev/video1", "format": "NV12", "size": "320x180", "fps": 15},
                {"serial": "CAM-3", "device": "/dev/video2", "format": "MJPEG"}],
            program=["/bin/poke", "/bin/edge", "run", "--config", "/etc/edge/edge.yaml"], files=files,
            vivid="n_devs=3 node_types=0x1,0x1,0x1 num_inputs=1,1,1 input_types=0x0,0x0,0x0")
        guest = scene.boot()
        self.latency(scene, guest)
        first, first_view = self.watch(scene, "CAM-1", 640 * 480 * 2, lambda picture: picture[0:200_000:34], "one")
        second, second_view = self.watch(scene, "CAM-2", 320 * 180 * 3 // 2, lambda picture: picture[0:57_600:17], "two")
        self.wait_until(lambda: len(first.seen) > 20 and len(second.seen) > 20, 30, "the two do not stream at once")
        self.settings(scene, guest, first)
        # What the driver does not offer is told with what it does offer.
        refused = scene.viewer.view("CAM-3", "--frames", "1", output="/dev/null")
        found = refused.wait_for(r"does not offer MJPEG: choose one of ([^\n]*)", 30)
        offered = found[1].split(", ")
        refused.stop()
        self.assertIn("YUYV", offered)
        self.note(f"vivid offers {len(offered)} formats, compressed ones: "
                  + (", ".join(each for each in offered if each in ("MJPG", "H264", "HEVC")) or "none"))
        self.unplug(scene, guest, driver, (first, first_view), (second, second_view))

    def latency(self, scene, guest):
        """The whole way on one machine, whose clock stamps the picture at both ends."""
        account = scene.viewer.account
        text = self.say(
            guest, f"run /bin/edge view CAM-1 --rendezvous {account.uri} --user {account.name} --password-file "
            "/etc/edge/anna --ca /etc/edge/ca.pem --output /dev/null --format raw --duration 6 --stats /tmp/stats.json",
            "poke: /bin/edge: exit status", 60)
        self.assertIn("exit status 0", text)
        text = self.say(guest, "show /tmp/stats.json", "poke: /tmp/stats.json: done")
        figures = told_json(text)
        self.assertEqual(figures["checksum_errors"], 0, figures)
        self.assertNotEqual(figures["path"], "relay")
        self.assertGreater(figures["frames"], 20)
        stages = figures["latency"]
        self.note("emulated loopback, 640x480, ms median/95 %: " + ", ".join(
            f"{stage} {value['p50_ms']:.1f}/{value['p95_ms']:.1f}" for stage, value in stages.items() if value))
        for stage in ("capture", "encode", "queue", "network", "decode", "total"):
            self.assertTrue(stages[stage], f"{stage} was not measured: {stages}")
        # The parts make the whole, and none is the whole.
        parts = sum(stages[stage]["p50_ms"] for stage in ("capture", "encode", "queue", "network", "decode"))
        self.assertAlmostEqual(parts, stages["total"]["p50_ms"], delta=max(15, parts / 2))

    def settings(self, scene, guest, watcher):
        listed = self.command(scene, "CAM-1", "list")
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertRegex(listed.stdout, r"brightness=128  integer 0\.\.255, default 128")
        before = watcher.last()[2]
        changed = self.command(scene, "CAM-1", "set", "brightness=20")
        self.assertEqual(changed.returncode, 0, changed.stderr)
        self.assertIn("brightness=20", changed.stdout)
        # The picture is darker, not only the number.
        self.wait_until(lambda: watcher.last()[2] < before - 20, 15, lambda: f"level {before} -> {watcher.last()[2]}")
        refused = self.command(scene, "CAM-1", "set", "brightness=999")
        self.assertEqual(refused.returncode, 1, refused.stdout)
        self.assertIn("goes from 0 to 255", refused.stderr)
        # The driver leaves out every second picture: its numbers have gaps, and they are counted.
        self.assertEqual(self.command(scene, "CAM-1", "set", "percentage_of_dropped_buffers=50").returncode, 0)
        # At the end of a frame vivid stamps what it hands over at the beginning: a time that is yet to come.
        stamps = self.command(scene, "CAM-1", "set", "timestamp_source=1")
        self.assertEqual(stamps.returncode, 0, stamps.stderr + listed.stdout)

        def camera():
            text = self.say(guest, "run /bin/edge status --json --config /etc/edge/edge.yaml", "poke: /bin/edge: exit")
            return next(each for each in told_json(text)["resources"] if each["serial"] == "CAM-1")
        before = camera()
        time.sleep(3)
        after = camera()
        missed, captured, stamped = (after["frames"][name] - before["frames"][name]
                                     for name in ("missed", "captured", "stamped"))
        self.note(f"half of the buffers dropped by the driver: {captured} captured, {missed} missed by its numbers, "
                  f"{stamped} with a time stamp to be believed")
        self.assertGreater(missed, captured / 4)
        self.assertGreater(stamped, captured * 3 / 4)
        self.assertEqual(self.command(scene, "CAM-1", "set", "percentage_of_dropped_buffers=0").returncode, 0)
        self.assertEqual(self.command(scene, "CAM-1", "set", "brightness=128").returncode, 0)

    def unplug(self, scene, guest, driver, *watched):
        pulled = time.monotonic()
        guest.popen.stdin.write(f"write {driver}/unbind vivid.0\n".encode())
        guest.popen.stdin.flush()
        for watcher, process in watched:
            self.wait_until(lambda: watcher.last()[1] == "placeholder", 30,
                            lambda: f"no placeholder: {watcher.kinds()}\n{process.text()}\n{guest.kept_tail()}")
            process.wait_for(r"camera: .*was unplugged|does not exist", 10)
        shown = time.monotonic() - pulled
        self.wait_until(lambda: "unbind: done" in guest.text(), 30, "the driver does not let go")
        self.say(guest, f"write {driver}/bind vivid.0", "/bind: done")
        plugged = time.monotonic()
        for watcher, process in watched:
            self.wait_until(lambda: watcher.last()[1] == "picture", 30,
                            lambda: f"no picture again: {watcher.kinds()}\n{guest.kept_tail()}")
            self.assertEqual(watcher.kinds(), ["picture", "placeholder", "picture"])
            # The same session all the time.
            self.assertTrue(process.running())
            self.assertNotIn("connecting again", process.text())
            self.assertEqual(process.text().count("calling "), 1, process.text())
        self.note(f"unplugged: the placeholder after {shown:.1f} s; plugged in: the picture {time.monotonic() - plugged:.1f} s "
                  "later, the same sessions")
        self.assertNotIn("ended with", guest.text())
        for _, process in watched:
            self.assertEqual(interrupt(process), 0, process.text())

    def test_a_digital_input_whose_source_changes_mid_stream(self):
        # 640x480p59.94, 720x480p59.94 and 720x576p50 of the driver's list of timings.
        sizes = {0: "640x480", 2: "720x480", 4: "720x576"}
        scene = Scene(
            self, "x86_64", [{"serial": "CAM-1", "device": "/dev/video0", "format": "YUYV"}],
            program=["/bin/poke", "/bin/edge", "run", "--config", "/etc/edge/edge.yaml"],
            files={"/bin/poke": (machine.HERE / "out" / "poke-x86_64").read_bytes()},
            vivid="n_devs=1 node_types=0x1 num_inputs=1 input_types=0x3")
        guest = scene.boot()

        def plug(**settings):
            for name, value in settings.items():
                done = self.command(scene, "CAM-1", "set", f"{name}={value}")
                self.assertEqual(done.returncode, 0, done.stderr)
        plug(dv_timings=0, dv_timings_signal_mode=4)
        process = scene.viewer.view("CAM-1", output="/dev/null")
        process.wait_for(r"first picture .*640x480", 60)
        before = sizes[0]
        for timings in (2, 4):
            changed = time.monotonic()
            plug(dv_timings=timings)
            guest.wait_for(rf"camera\.changed .*{before}.*{sizes[timings]}", 30)
            self.note(f"{before} to {sizes[timings]}: streaming {time.monotonic() - changed:.1f} s after the setting was sent")
            before = sizes[timings]
        # The driver's event, not a stall or an error.
        self.assertEqual(process.text().count("gets another signal"), 2, guest.kept_tail())
        text = self.say(guest, "run /bin/edge status --json --config /etc/edge/edge.yaml", "poke: /bin/edge: exit")
        health = [each["text"] for each in told_json(text)["health"] if each["code"] == "camera-format-changed"]
        self.assertIn("720x576", health[0])
        # No source at all, and the first one again.
        plug(dv_timings_signal_mode=1)
        process.wait_for("camera: nothing is connected to the input", 30)
        plug(dv_timings_signal_mode=4, dv_timings=0)
        guest.wait_for(r"camera\.changed .*720x576.*640x480", 30)
        time.sleep(2)
        self.assertEqual(interrupt(process), 0, process.text())
        self.assertEqual(process.text().count("calling "), 1, process.text())
        self.assertNotIn("connecting again", process.text())
        figures = json.loads(process.stats.read_text())
        self.assertEqual((figures["checksum_errors"], figures["size"]), (0, "640x480"), figures)
        self.note(f"{figures['frames']} pictures in one session, longest gap {figures['longest_gap_ms']} ms; {health[0]}")
