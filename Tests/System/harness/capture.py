"""What went over a wire, decoded by tshark, a program nobody here wrote."""

import collections
import signal
import subprocess
import time

FIELDS = ["frame.number", "tcp.stream", "tcp.srcport", "tcp.dstport", "sip.Method", "sip.Status-Code", "sip.CSeq.method",
          "sip.Event", "sip.Call-ID", "sip.r-uri", "sip.from.user", "sip.to.user", "sip.Subscription-State",
          "sip.Content-Type", "text"]
Packet = collections.namedtuple("Packet", ["number", "stream", "source", "target", "method", "status", "of", "event",
                                           "call", "uri", "sender", "receiver", "state", "type", "body"])


class Capture:
    """Everything on one interface of one machine, from `start` to `stop`."""

    def __init__(self, case, machine, interface="lo", filter="tcp port 5060", name="capture"):
        self.case, self.machine, self.file = case, machine, case.folder / f"{name}.pcapng"
        self.process = case.start(name, ["tshark", "-i", interface, "-f", filter, "-w", self.file], machine)
        self.process.wait_for(r"Capture started|Capturing on", 15)
        # It says so a moment before it does.
        case.wait_until(lambda: self.file.exists() and self.file.stat().st_size > 0, 10, "tshark captures nothing")

    def stop(self, end):
        """Ends it once `end`, the bytes of something said last, were seen to go by as often as it was said."""
        text, count = end
        self.case.wait_until(lambda: self.file.read_bytes().count(text) >= count, 10,
                             lambda: f"{text} did not go by {count} times: {self.process.text()}")
        # Answers to it; the kernel hands packets over in blocks.
        time.sleep(1)
        self.process.signal(signal.SIGINT)
        self.process.wait(10)

    def sip(self):
        """The SIP messages, in order."""
        done = subprocess.run(
            ["tshark", "-r", str(self.file), "-d", "tcp.port==5060,sip", "-Y", "sip", "-T", "fields", "-E", "separator=/t",
             "-E", "occurrence=a", "-E", "aggregator=~", *[word for field in FIELDS for word in ("-e", field)]],
            capture_output=True, text=True, timeout=60)
        self.case.assertEqual(done.returncode, 0, done.stderr)
        packets = []
        for line in done.stdout.splitlines():
            values = line.split("\t")
            values += [""] * (len(FIELDS) - len(values))
            # The last are the lines of the body, after a heading of the TCP layer's.
            body = [line.removesuffix("\\r\\n") for line in values[-1].split("~") if line != "Timestamps"]
            packet = Packet(*[value.split("~")[0] for value in values[:-1]], body)
            # tshark gives the method of a response too: that of its CSeq.
            packets.append(packet._replace(method="") if packet.status else packet)
        return packets
