"""Files and chats straight between two programs: fetched, sent, cut and gone on with, refused."""

import hashlib
import json
import os
import pathlib
import signal
import subprocess
import time

from harness import Case, Viewer
from harness.nodes import every, interrupt
from harness.scenes import TwoHomes, one_machine

MEGABYTE = 1 << 20
# Long enough to be cut four times on any machine.
CUT_FILE = int(os.environ.get("EDGE_CUT_FILE_MB", "40")) * MEGABYTE


def digest(path):
    hashed = hashlib.sha256()
    with open(path, "rb") as f:
        while data := f.read(MEGABYTE):
            hashed.update(data)
    return hashed.hexdigest()


def write_random(path, size):
    """A file of bytes that repeat nowhere near each other."""
    block = os.urandom(MEGABYTE)
    with open(path, "wb") as f:
        for number in range(size // MEGABYTE):
            f.write(number.to_bytes(8, "big") + block[8:])
        f.write(block[:size % MEGABYTE])


class FileCase(Case):
    def share(self, node, **more):
        """Gives a node that is not started yet a folder to share and one for what it is sent."""
        self.shared, self.inbox = self.folder / "recordings", self.folder / "inbox"
        (self.shared / "clips").mkdir(parents=True)
        node.settings["files"] = {"share": str(self.shared), "inbox": str(self.inbox), **more}

    def transfer(self, viewer, command, *arguments):
        """Starts `edge get` or `edge put`."""
        output = self.folder / f"{command}.{len(self.processes)}.out"
        process = self.start(f"{command}-{viewer.name}", [self.program("edge"), command, *arguments, "--json",
                                                          *viewer.options()],
                             viewer.namespace, output=output, environment=viewer.environment())
        process.output = output
        return process

    def edge(self, viewer, command, *arguments, timeout=60):
        return self.complete([self.program("edge"), command, *arguments, *viewer.options()], viewer.namespace,
                             timeout=timeout, env=viewer.environment())

    def part_bytes(self, folder):
        """Bytes of what is there of a file so far."""
        return max([each.stat().st_size for each in folder.glob(".edge-*.part")], default=0)


class Files(FileCase):
    seconds = 120

    def scene(self):
        machine, server, node = one_machine(self)
        self.share(node)
        node.ready()
        return machine, server, node, Viewer(self, machine, server)

    def test_recordings_are_listed_and_fetched_and_files_are_sent(self):
        _, server, node, viewer = self.scene()
        write_random(self.shared / "clips" / "monday.y4m", 5 * MEGABYTE + 17)
        (self.shared / "empty").write_bytes(b"")
        (self.shared / ".hidden").write_bytes(b"x")
        (self.shared / "link").symlink_to("/etc/passwd")

        done = self.edge(viewer, "get", "CAM-1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line.split()[-1] for line in done.stdout.splitlines()], ["clips/", "empty"])
        done = self.edge(viewer, "get", "CAM-1", "clips", "--list", "--json")
        entries = json.loads(done.stdout)["entries"]
        self.assertEqual([(each["name"], each["size"]) for each in entries], [("monday.y4m", 5 * MEGABYTE + 17)])

        target = self.folder / "got"
        target.mkdir()
        for expected in ("monday.y4m", "monday (1).y4m"):
            done = self.edge(viewer, "get", "CAM-1", "clips/monday.y4m", "--output", str(target))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(pathlib.Path(done.stdout.strip()).name, expected)
            self.assertEqual(digest(target / expected), digest(self.shared / "clips" / "monday.y4m"))
        done = self.edge(viewer, "get", "CAM-1", "empty", "--output", str(target / "nothing"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((target / "nothing").read_bytes(), b"")
        self.assertEqual(sorted(each.name for each in target.iterdir()), ["monday (1).y4m", "monday.y4m", "nothing"])

        note = self.folder / "notes for the gate.txt"
        note.write_text("open at nine\n")
        for command in (["put", "CAM-1", str(note)], ["send", "gate-box", "--file", str(note)]):
            done = self.edge(viewer, *command)
            self.assertEqual((done.returncode, done.stdout), (0, "delivered\n"), done.stderr)
        # The second time it was there already.
        self.assertEqual([(each.name, each.read_text()) for each in self.inbox.iterdir()],
                         [("notes for the gate.txt", "open at nine\n")])

    def test_nothing_leads_out_of_the_folders_and_every_refusal_says_why(self):
        machine, server, node, viewer = self.scene()
        (self.shared / "a").write_bytes(b"a")
        (self.shared / "link").symlink_to("/etc/passwd")
        (self.shared / "folder").symlink_to("/etc")
        for path in ("../x", "/etc/passwd", "a/../../x", "link", "folder/passwd", "clips", "b" * 1000, "nul", "b\x1b[2J",
                     "../", "/", ".hidden"):
            done = self.edge(viewer, "get", "CAM-1", path, *([] if path.endswith("/") else ["--output", str(self.folder)]))
            if path == "/":
                self.assertEqual(done.returncode, 0, done.stderr)
                continue
            self.assertEqual(done.returncode, 1, f"{path!r}: {done.stdout}{done.stderr}")
            self.assertIn("has no f", done.stderr)
        done = self.edge(viewer, "get", "CAM-1", "b" * 4000, "--output", str(self.folder))
        self.assertEqual(done.returncode, 1)
        self.assertIn("larger than 1024 bytes", done.stderr)
        # Names the node would not take are not even offered.
        bad = self.folder / "..\\x"
        bad.write_bytes(b"x")
        done = self.edge(viewer, "put", "CAM-1", str(bad))
        self.assertEqual(done.returncode, 1)
        self.assertIn("another folder", done.stderr)
        # Without the right there is no such serial; without the section nothing is shared and nothing taken.
        server.must("revoke", "anna", "CAM-1")
        done = self.edge(viewer, "get", "CAM-1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("edge devices", done.stderr)
        server.grant("anna", "CAM-1")
        node.process.stop()
        del node.settings["files"]
        node.ready()
        for command, hint in ((["get", "CAM-1"], "shares no files"), (["put", "CAM-1", str(self.shared / "a")], "takes no")):
            done = self.edge(viewer, *command)
            self.assertEqual(done.returncode, 1)
            self.assertIn(hint, done.stderr)

    def test_a_full_disk_loses_nothing_and_says_so(self):
        _, server, node, viewer = self.scene()
        write_random(self.shared / "big", 24 * MEGABYTE)
        small = self.folder / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", small], check=True)
        self.addCleanup(subprocess.run, ["umount", small])
        done = self.edge(viewer, "get", "CAM-1", "big", "--output", str(small))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "needs .* there is room for")
        # It fills up while the file is on its way: there was room when it began.
        subprocess.run(["mount", "-o", "remount,size=40m", small], check=True)
        process = self.transfer(viewer, "get", "CAM-1", "big", "--output", str(small))
        filler = small / "filler"
        with open(filler, "wb") as f:
            self.wait_until(lambda: self.part_bytes(small) or not process.running(), 20, process.text)
            try:
                while True:
                    f.write(bytes(65536))
            except OSError:
                pass
        self.assertEqual(process.wait(30), 1, process.text())
        self.assertIn("the disk is full", process.text())
        filler.unlink()
        done = self.edge(viewer, "get", "CAM-1", "big", "--output", str(small), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(digest(small / "big"), digest(self.shared / "big"))
        self.assertEqual([each.name for each in small.iterdir()], ["big"])


class Cuts(FileCase):
    seconds = 300

    def cut(self, command):
        """A transfer through two home routers: killed, its node killed, its path dead, its address changed."""
        scene = TwoHomes(self)
        self.share(scene.node)
        scene.node.ready()
        scene.server.grant("anna", "CAM-1")
        target = self.folder / "got"
        target.mkdir()
        if command == "get":
            sent, folder, arguments = self.shared / "big", target, ("CAM-1", "big", "--output", str(target))
        else:
            sent, folder, arguments = self.folder / "big", self.inbox, ("CAM-1", str(self.folder / "big"))
        write_random(sent, CUT_FILE)
        # A quarter of the file in a second or two, on any machine.
        scene.network.wire.set("ra", rate=CUT_FILE / 5)

        def reached(share):
            return lambda: self.part_bytes(folder) >= CUT_FILE * share or not process.running()

        process = self.transfer(scene.viewer, command, *arguments)
        self.wait_until(reached(0.3), 60, process.text)
        self.assertTrue(process.running(), process.text())
        # 1: the fetching program dies.
        process.kill()
        time.sleep(0.5)
        started = time.monotonic()
        process = self.transfer(scene.viewer, command, *arguments)
        self.wait_until(reached(0.5), 60, process.text)
        # 2: the address changes.
        self.readdress(scene.b, 2)
        self.wait_until(reached(0.6), 60, process.text)
        # 3: the node dies, and comes back.
        scene.node.process.kill()
        time.sleep(1)
        scene.node.ready()
        self.wait_until(reached(0.8), 90, process.text)
        # 4: the path is dead for a while.
        scene.b.link("eth0", "down")
        time.sleep(3)
        scene.b.link("eth0", "up")
        scene.b.default_route("192.168.2.1")
        self.assertEqual(process.wait(120), 0, process.text())
        seconds = time.monotonic() - started
        result = json.loads(process.output.read_text())
        there = (folder / "big")
        self.assertEqual(digest(there), digest(sent))
        self.assertEqual([each.name for each in folder.iterdir()], ["big"])
        self.assertGreater(result["resumed_from"], 0, process.text())
        self.assertGreaterEqual(result["sessions"], 2, process.text())
        # What had arrived was not sent again, but for what no disk had yet.
        self.assertLess(result["transferred_bytes"], CUT_FILE, process.text())
        self.assertLessEqual(result["resumed_from"] + result["transferred_bytes"], CUT_FILE + 8 * MEGABYTE)
        self.note(f"{CUT_FILE >> 20} MB, killed, readdressed, node killed, cut: resumed at "
                  f"{result['resumed_from'] >> 20} MB, {result['sessions']} sessions, {seconds:.0f} s")

    def readdress(self, machine, number):
        """What a lease with another address does."""
        machine.run("ip", "address", "del", f"192.168.{number}.2/24", "dev", "eth0")
        machine.address("eth0", f"192.168.{number}.77/24")
        machine.default_route(f"192.168.{number}.1")

    def test_a_fetched_file_survives_three_cuts_and_a_new_address(self):
        self.cut("get")

    def test_a_sent_file_survives_three_cuts_and_a_new_address(self):
        self.cut("put")


class Chats(FileCase):
    seconds = 90

    def scene(self):
        """Two people joined by a right: anna watches the camera of bob's box."""
        machine, server, node = one_machine(self, name="bob")
        anna = Viewer(self, machine, server)
        bob = Viewer(self, machine, server, name="bob-terminal", account=node.account)
        return machine, server, node, anna, bob

    def chat(self, viewer, who, *more):
        folder = self.folder / f"files-{viewer.name}"
        folder.mkdir(exist_ok=True)
        process = self.start(f"chat-{viewer.name}", [self.program("edge"), "chat", who, "--folder", folder, *more,
                                                     *viewer.options()],
                             viewer.namespace, stdin=subprocess.PIPE, environment=viewer.environment())
        process.files = folder

        def say(text):
            process.popen.stdin.write((text + "\n").encode())
            process.popen.stdin.flush()

        process.say = say
        return process

    def test_an_inbox_and_a_chat_on_one_machine_do_not_push_each_other_out(self):
        machine, server, node, anna, bob = self.scene()
        node.ready()
        before = every(server.status(), "subscriptions")[0]
        inbox = self.start("inbox", [self.program("edge"), "inbox", "--follow", *anna.options()], machine,
                           environment=anna.environment())
        self.wait_until(lambda: "event=registered account=anna" in server.process.text(), 20, inbox.text)
        chat = self.chat(anna, "bob")
        chat.wait_for("bob is here", 20)
        second = self.start("second-inbox", [self.program("edge"), "inbox", "--follow", *anna.options()], machine,
                            environment=anna.environment())
        self.wait_until(lambda: every(server.status(), "subscriptions")[0] >= before + 3, 20, second.text)
        texts = [f"number {number}" for number in range(3)]
        for text in texts:
            sent = self.start("send", [self.program("edge"), "send", "anna", text, *bob.options()], machine,
                              environment=bob.environment())
            self.assertEqual(sent.wait(20), 0, sent.text())
        # Each shows every message once and keeps it where nobody else writes.
        state = sorted((anna.home / "state").rglob("messages.jsonl"))
        self.assertEqual(len(state), 3, state)
        for shown in (inbox, chat, second):
            self.wait_until(lambda: texts[-1] in shown.text(), 20, shown.text)
            self.assertEqual([shown.text().count(text) for text in texts], [1, 1, 1], shown.text())
        for file in state:
            self.assertEqual([json.loads(line)["text"] for line in file.read_text().splitlines()], texts, file)
        self.assertNotIn("event=flow-replaced account=anna", server.process.text())
        self.assertTrue(inbox.running() and chat.running() and second.running())
        for process in (inbox, second):
            process.stop()
        everything = self.start("all", [self.program("edge"), "inbox", "--all", *anna.options()], machine,
                                environment=anna.environment())
        self.assertEqual(everything.wait(20), 0, everything.text())
        self.assertEqual([everything.text().count(text) for text in texts], [1, 1, 1], everything.text())

    def test_two_people_write_send_a_file_and_refuse_one(self):
        machine, server, node, anna, bob = self.scene()
        # A right joins two accounts from when the serial was published first.
        node.ready()
        node.process.stop()
        first = self.chat(anna, "bob")
        first.wait_for("away", 20)
        first.say("are you there?")
        first.wait_for("-- stored until bob comes: are you there", 10)
        second = self.chat(bob, "anna")
        second.wait_for(r"\d\d:\d\d anna: are you there\?", 20)
        second.say("now I am \x1b[31mred")
        first.wait_for(r"bob: now I am \?\[31mred", 30)
        second.wait_for("-- delivered: now I am", 10)
        first.wait_for("bob is here", 30)
        first.say("good")
        second.wait_for("anna: good", 10)

        clip = self.folder / "clip.y4m"
        write_random(clip, 3 * MEGABYTE)
        first.say(f"/file {clip}")
        second.wait_for(r"anna offers clip.y4m \(3.1 MB\): /accept 1 or /refuse 1", 20)
        second.say("/accept")
        first.wait_for("-- delivered: .*clip.y4m", 30)
        second.wait_for("-- received .*clip.y4m", 10)
        self.assertEqual(digest(second.files / "clip.y4m"), digest(clip))
        first.say(f"/file {clip}")
        second.wait_for(r"/accept 2 or /refuse 2", 20)
        second.say("/refuse")
        first.wait_for("bob refused the file", 20)
        for process in (second, first):
            process.say("/quit")
            self.assertEqual(process.wait(15), 0, process.text())

    def test_a_box_keeps_what_it_is_told_in_its_inbox(self):
        machine, server, node, anna, _ = self.scene()
        node.ready()
        process = self.chat(anna, "bob")
        process.wait_for("bob is here", 20)
        process.say("gate is open")
        process.wait_for("-- delivered: gate is open", 10)
        process.popen.stdin.close()
        self.assertEqual(process.wait(15), 0, process.text())
        kept = [json.loads(line) for line in (node.folder / "state" / "messages.jsonl").read_text().splitlines()]
        self.assertEqual([(each["from"], each["text"]) for each in kept], [("anna", "gate is open")])
