"""Devices behind a node, used by their own clients through `edge tunnel`."""

import hashlib
import os
import pathlib
import subprocess
import time

from harness import Case, Network, Viewer
from harness.nodes import interrupt
from harness.scenes import TwoHomes, one_machine

MEGABYTE = 1 << 20

# Reads to the end of the stream, then answers: works only when one direction can end before the other.
DIGEST_SERVER = """
import hashlib, socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        digest = hashlib.sha256()
        while data := self.request.recv(65536):
            digest.update(data)
        self.request.sendall(digest.hexdigest().encode())
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("192.168.50.2", 9000), Handler).serve_forever()
"""

# Runs beside the tunnel's port: the test itself is in another network namespace.
DIGEST_CLIENT = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
with open(sys.argv[3], "rb") as f:
    s.sendfile(f)
s.shutdown(socket.SHUT_WR)
answer = b""
while data := s.recv(4096):
    answer += data
print(answer.decode())
"""

# Asks for a file, reads nothing, and stays.
STALLED_CLIENT = """
import socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
s.connect((sys.argv[1], int(sys.argv[2])))
s.sendall(b"GET /big HTTP/1.0\\r\\n\\r\\n")
print("stalled", flush=True)
time.sleep(600)
"""

# A camera of another make: GStreamer's own RTSP server. Debian's interpreter has the bindings.
RTSP_SERVER = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer(address="192.168.50.2", service="554")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch("( videotestsrc is-live=true ! video/x-raw,format=I420,width=640,height=480,framerate=25/1 "
                   "! jpegenc ! rtpjpegpay name=pay0 )")
factory.set_shared(True)
server.get_mount_points().add_factory("/camera", factory)
server.attach(None)
print("serving", flush=True)
GLib.MainLoop().run()
"""

RESOURCES = [
    {"serial": "NVR-HTTP", "type": "http", "ip": "192.168.50.2", "port": 8080},
    {"serial": "NVR-TCP", "type": "tcp", "ip": "192.168.50.2", "port": 9000},
    {"serial": "NVR-SSH", "type": "tcp", "ip": "192.168.50.2", "port": 22},
    {"serial": "NVR-DEAD", "type": "tcp", "ip": "192.168.50.2", "port": 9},
    {"serial": "NVR-WEB", "type": "http", "ip": "192.168.50.2", "port": 80},
    {"serial": "NVR-RTSP", "type": "rtsp", "ip": "192.168.50.2", "port": 554},
]
SERIALS = ["CAM-1"] + [each["serial"] for each in RESOURCES]


class Tunnels(Case):
    seconds = 150

    def device(self, network, machine):
        """A machine only `machine` can reach, with a web server on it."""
        device = network.namespace("device")
        network.pair(machine, "cam0", device, "eth0")
        machine.address("cam0", "192.168.50.1/24")
        device.address("eth0", "192.168.50.2/24")
        self.files = self.folder / "files"
        self.files.mkdir()
        (self.files / "index.html").write_text("the device's own page\n")
        (self.files / "big").write_bytes(os.urandom(MEGABYTE) * 48)
        self.start("http", ["python3", "-m", "http.server", "8080", "--bind", "192.168.50.2", "--directory",
                            self.files], device)
        self.start("digest", ["python3", "-c", DIGEST_SERVER], device)
        return device

    def scene(self):
        machine, server, node = one_machine(self, resources=RESOURCES)
        self.device(Network(self), machine)
        node.ready()
        return machine, server, node, Viewer(self, machine, server, serials=SERIALS)

    def tunnel(self, viewer, serial, *more):
        """A running tunnel and its port."""
        output = self.folder / f"tunnel.{len(self.processes)}"
        process = self.start(
            f"tunnel-{serial}", [self.program("edge"), "tunnel", serial, *viewer.options(), *more], viewer.namespace,
            output=output, environment=viewer.environment())
        self.wait_until(lambda: output.read_text().endswith("\n") or not process.running(), 20, process.text)
        self.assertTrue(process.running(), process.text())
        address, _, port = output.read_text().strip().rpartition(":")
        self.assertEqual(address, "127.0.0.1")
        return process, port

    def curl(self, namespace, port, path, *more, timeout=60):
        return self.complete(["curl", "-sS", "--max-time", str(timeout), *more, f"http://127.0.0.1:{port}/{path}"],
                             namespace, timeout=timeout + 5)

    def test_curl_reads_a_web_server_behind_the_node_and_a_stalled_client_stalls_only_itself(self):
        machine, _, node, viewer = self.scene()
        process, port = self.tunnel(viewer, "NVR-HTTP")
        self.assertEqual(self.curl(machine, port, "").stdout, "the device's own page\n")
        sessions = [each for each in node.status()["sessions"] if each["serial"] == "NVR-HTTP"]
        self.assertEqual([each["viewer"] for each in sessions], ["anna"])

        copy = self.folder / "copy"
        started = time.monotonic()
        done = self.curl(machine, port, "big", "-o", copy)
        seconds = time.monotonic() - started
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(digest(copy), digest(self.files / "big"))
        plain = (process.resident_bytes(), node.process.resident_bytes())

        stalled = [self.start(f"stalled{number}", ["python3", "-c", STALLED_CLIENT, "127.0.0.1", port], machine)
                   for number in range(8)]
        for each in stalled:
            each.wait_for("stalled", 10)
        time.sleep(2)
        started = time.monotonic()
        done = self.curl(machine, port, "big", "-o", copy)
        beside = time.monotonic() - started
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(digest(copy), digest(self.files / "big"))
        self.assertLess(beside, 4 * seconds + 1)
        grown = [after - before for after, before in zip(
            (process.resident_bytes(), node.process.resident_bytes()), plain)]
        self.assertLess(max(grown), 24 * MEGABYTE, f"8 stalled connections cost {grown}")
        size = (self.files / "big").stat().st_size
        self.note(f"{size / seconds / 1e6:.1f} MB/s, {size / beside / 1e6:.1f} MB/s beside 8 stalled clients; RSS viewer "
                  f"{plain[0] >> 20} MB, node {plain[1] >> 20} MB, grown by {grown[0] >> 10} and {grown[1] >> 10} KB")
        self.assertEqual(interrupt(process), 0)
        self.wait_until(lambda: not node.status()["sessions"], 10, "the node's session outlives the tunnel")

    def test_many_connections_half_close_and_devices_that_do_not_answer(self):
        machine, _, node, viewer = self.scene()
        process, port = self.tunnel(viewer, "NVR-TCP")
        sample = self.folder / "sample"
        sample.write_bytes(os.urandom(3 * MEGABYTE))
        clients = [subprocess.Popen([*machine.prefix(), "python3", "-c", DIGEST_CLIENT, "127.0.0.1", port, sample],
                                    stdout=subprocess.PIPE, text=True) for _ in range(20)]
        for client in clients:
            self.assertEqual(client.communicate(timeout=60)[0].strip(), digest(sample))

        _, dead = self.tunnel(viewer, "NVR-DEAD")
        done = self.curl(machine, dead, "", timeout=10)
        # 52 would be an empty answer: the connection ended as if there were nothing to say.
        self.assertIn(done.returncode, (7, 56), f"a refused connection is cut, not ended: {done.stderr}")
        self.assertIn("nobody listens", self.processes[-1].text())

        # Only what is published, and only to whom it was granted.
        viewer.server.must("revoke", "anna", "NVR-HTTP")
        for serial, hint in (("NVR-HTTP", "edge devices"), ("NVR-NONE", "edge devices"), ("CAM-1", "edge view")):
            done = self.complete([self.program("edge"), "tunnel", serial, *viewer.options()], machine,
                                 env=viewer.environment())
            self.assertEqual(done.returncode, 1, f"{serial}: {done.stderr}")
            self.assertIn(hint, done.stderr)
        done = viewer.view("NVR-TCP", "--frames", "1")
        self.assertEqual(done.wait(20), 1)
        self.assertIn("edge tunnel", done.text())

    def test_ssh_and_http_through_two_home_routers_and_a_cut_of_the_path(self):
        scene = TwoHomes(self, resources=RESOURCES)
        device = self.device(scene.network, scene.a)
        scene.node.ready()
        scene.server.grant("anna", *SERIALS)
        process, port = self.tunnel(scene.viewer, "NVR-HTTP")
        self.assertEqual(self.curl(scene.b, port, "").stdout, "the device's own page\n")
        self.ssh(scene, device)
        # The node restarts: the same port serves again without the tunnel being started again.
        scene.node.process.stop()
        scene.node.ready()
        self.wait_until(lambda: self.curl(scene.b, port, "", timeout=5).stdout == "the device's own page\n", 40,
                        process.text)

    def test_lighttpd_and_a_gstreamer_rtsp_camera_are_used_by_their_own_clients(self):
        machine, server, node = one_machine(self, resources=RESOURCES)
        device = self.device(Network(self), machine)
        node.ready()
        viewer = Viewer(self, machine, server, serials=SERIALS)
        configuration = self.folder / "lighttpd.conf"
        configuration.write_text(f'server.document-root = "{self.files}"\nserver.bind = "192.168.50.2"\n'
                                 f'server.port = 80\nserver.errorlog = "{self.folder}/lighttpd.log"\n')
        self.start("lighttpd", ["/usr/sbin/lighttpd", "-D", "-f", configuration], device)
        camera = self.start("rtsp", ["/usr/bin/python3", "-c", RTSP_SERVER], device)
        camera.wait_for("serving", 20)

        web, port = self.tunnel(viewer, "NVR-WEB")
        head = self.curl(machine, port, "index.html", "-i").stdout
        self.assertIn("Server: lighttpd", head)
        self.assertIn("the device's own page", head)
        part = self.curl(machine, port, "big", "-r", "1000000-1000099", "-o", self.folder / "part")
        self.assertEqual(part.returncode, 0, part.stderr)
        with open(self.files / "big", "rb") as f:
            f.seek(1_000_000)
            self.assertEqual((self.folder / "part").read_bytes(), f.read(100))
        started = time.monotonic()
        done = self.curl(machine, port, "big", "-o", self.folder / "copy")
        seconds = time.monotonic() - started
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(digest(self.folder / "copy"), digest(self.files / "big"))

        # A client that stalls in another tunnel of the same node, while pictures are watched.
        stalled = self.start("stalled", ["python3", "-c", STALLED_CLIENT, "127.0.0.1", port], machine)
        stalled.wait_for("stalled", 10)
        rtsp, port = self.tunnel(viewer, "NVR-RTSP")
        pictures = self.folder / "pictures"
        pictures.mkdir()
        started = time.monotonic()
        done = self.complete(
            ["gst-launch-1.0", "-q", "rtspsrc", f"location=rtsp://127.0.0.1:{port}/camera", "protocols=tcp", "latency=0",
             "!", "rtpjpegdepay", "!", "identity", "eos-after=75", "!", "multifilesink", f"location={pictures}/%03d.jpg"],
            machine, timeout=40)
        span = time.monotonic() - started
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        found = sorted(pictures.iterdir())
        self.assertGreaterEqual(len(found), 70)
        for each in found:
            self.assertEqual((each.read_bytes()[:2], each.read_bytes()[-2:]), (b"\xff\xd8", b"\xff\xd9"))
        size = (self.files / "big").stat().st_size
        self.note(f"lighttpd {size / seconds / 1e6:.1f} MB/s; RTSP {len(found)} pictures in {span:.1f} s beside a stalled "
                  f"client; RSS tunnels {web.resident_bytes() >> 20} and {rtsp.resident_bytes() >> 20} MB, node "
                  f"{node.process.resident_bytes() >> 20} MB")

    def ssh(self, scene, device):
        """A real SSH server and client, with a key made for the test."""
        folder = self.folder / "ssh"
        folder.mkdir()
        for name in ("host", "user"):
            self.assertEqual(self.complete(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]).returncode, 0)
        keys = folder / "authorized_keys"
        keys.write_text((folder / "user.pub").read_text())
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        server = self.start("sshd", [
            "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", folder / "host", "-o", "ListenAddress=192.168.50.2:22",
            "-o", f"AuthorizedKeysFile={keys}", "-o", "StrictModes=no", "-o", "UsePAM=no", "-o", f"PidFile={folder}/pid",
            "-o", "PermitRootLogin=yes"], device)
        server.wait_for("Server listening", 20)
        _, port = self.tunnel(scene.viewer, "NVR-SSH")
        done = self.complete(
            ["ssh", "-F", "/dev/null", "-i", folder / "user", "-p", port, "-o", "StrictHostKeyChecking=no", "-o",
             f"UserKnownHostsFile={folder}/known", "-o", "ConnectTimeout=20", "root@127.0.0.1",
             "cat && hostname -I"], scene.b, stdin="typed over there\n", timeout=40)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("typed over there", done.stdout)
        self.assertIn("192.168.50.2", done.stdout)


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
