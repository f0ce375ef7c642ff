"""The main job on one machine: log in, publish, be found, be watched."""

import json
import time

from harness import Case, Viewer
from harness.nodes import interrupt
from harness.scenes import one_machine

RAW_BYTES = {"YUYV": 320 * 240 * 2, "NV12": 320 * 240 * 3 // 2}
STATS = ["serial", "path", "remote", "first_frame_ms", "frames", "frames_lost", "bytes", "raw_bytes", "fps", "rtt_ms",
         "round_trips_to_first_frame"]


class Loopback(Case):
    seconds = 100

    def test_frames_arrive_by_serial_number(self):
        machine, server, node = one_machine(self)
        node.ready()
        viewer = Viewer(self, machine, server)
        figures = viewer.frames(30)
        self.assertEqual([key for key in STATS if key not in figures], [])
        self.assertEqual(figures["frames_lost"], 0)
        self.assertEqual(figures["path"], "host")
        self.assertEqual(figures["serial"], "CAM-1")
        self.note(f"first frame after {figures['first_frame_ms']} ms, "
                  f"{figures['round_trips_to_first_frame']} round trips")

    def test_status_and_devices_tell_what_there_is(self):
        machine, server, node = one_machine(
            self, resources=[{"serial": "NVR-22", "type": "rtsp", "ip": "192.168.77.40", "port": 554}])
        node.ready()
        status = node.status()
        for key in ("version", "node", "link", "nat", "resources", "sessions", "health"):
            self.assertIn(key, status)
        self.assertEqual({each["serial"] for each in status["resources"]}, {"CAM-1", "NVR-22"})
        self.assertEqual(status["link"]["transport"], "tls")
        self.assertEqual(node.command("status").returncode, 0)
        viewer = Viewer(self, machine, server, serials=("CAM-1", "NVR-22"))
        self.assertLessEqual({"CAM-1", "NVR-22"}, texts(viewer.devices()))
        server.must("revoke", "anna", "NVR-22")
        self.wait_until(lambda: "NVR-22" not in texts(viewer.devices()), 5, "a revoked serial is still listed")

    def test_two_viewers_share_one_capture_and_ctrl_c_ends_cleanly(self):
        machine, server, node = one_machine(self)
        node.ready()
        first = Viewer(self, machine, server, name="anna").view("CAM-1")
        second = Viewer(self, machine, server, name="ben").view("CAM-1", "--duration", "60")
        self.wait_until(lambda: len(node.status()["sessions"]) == 2, 20, lambda: f"sessions: {node.status()['sessions']}")
        time.sleep(2)
        for process in (first, second):
            self.assertEqual(interrupt(process), 0, process.text())
            figures = json.loads(process.stats.read_text())
            self.assertGreater(figures["frames"], 10)
            self.assertEqual(process.picture.stat().st_size, figures["raw_bytes"])
        self.wait_until(lambda: not node.status()["sessions"], 10, "a session outlives its viewer's BYE")
        self.assertTrue(node.process.running())

    def test_a_right_that_is_withdrawn_ends_the_running_call(self):
        machine, server, node = one_machine(self)
        node.ready()
        anna, ben = (Viewer(self, machine, server, name=name) for name in ("anna", "ben"))
        watching, staying = anna.view("CAM-1"), ben.view("CAM-1")
        for process in (watching, staying):
            process.wait_for("first picture", 20)
        server.must("revoke", "anna", "CAM-1")
        self.wait_until(lambda: [each["viewer"] for each in node.status()["sessions"]] == ["ben"], 3,
                        lambda: f"sessions: {node.status()['sessions']}")
        self.assertEqual(watching.wait(10), 1, watching.text())
        self.assertIn("not yours to see", watching.text())
        server.must("account", "remove", "ben")
        self.wait_until(lambda: not node.status()["sessions"], 3, "the call of a removed account goes on")
        self.assertEqual(staying.wait(30), 77, staying.text())
        self.assertEqual(node.link(), "connected")

    def test_pictures_are_written_as_y4m_raw_and_png(self):
        machine, server, node = one_machine(self)
        node.ready()
        viewer = Viewer(self, machine, server)
        starts = {"y4m": b"YUV4MPEG2 W320 H240", "png": b"\x89PNG\r\n\x1a\n"}
        for form, start in starts.items():
            process = viewer.view("CAM-1", "--frames", "1", form=form)
            self.assertEqual(process.wait(30), 0, process.text())
            self.assertEqual(process.picture.read_bytes()[:len(start)], start)
        process = viewer.view("CAM-1", "--frames", "2", form="raw")
        self.assertEqual(process.wait(30), 0, process.text())
        self.assertEqual(process.picture.stat().st_size % 2, 0)
        self.assertGreater(process.picture.stat().st_size, 2 * 320 * 240)

    def test_every_transport_logs_in_and_shows_frames(self):
        machine, server, node = one_machine(self, transport="udp")
        node.ready()
        self.assertEqual(node.status()["link"]["transport"], "udp")
        self.assertEqual(Viewer(self, machine, server, transport="tcp").frames(5)["frames_lost"], 0)

    def test_the_status_command_says_when_there_is_no_daemon(self):
        _, _, node = one_machine(self)
        node.start().wait_link("connected", 20)
        node.process.stop()
        done = node.command("status")
        self.assertEqual(done.returncode, 69)
        self.assertEqual(done.stdout, "")
        # Other tests may run a daemon of their own at this moment; then it is told which socket to name.
        self.assertRegex(done.stderr, "edge run|not with the socket")


def texts(value):
    """Every string in a JSON value."""
    if isinstance(value, str):
        return {value}
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return set().union(*(texts(each) for each in inner)) if inner else set()
