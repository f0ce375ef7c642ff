"""The layers of Sources, and what each may import. Arrows point down only.

A new target needs a line here, in the layer it belongs to.
"""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ROOT / "Sources"

# No socket, clock, random source, log, thread or C import. Each names the pure targets it may know.
PURE = {
    "EdgeCore": set(),
    "STUN": {"EdgeCore"},
    "ICE": {"EdgeCore", "STUN"},
    "TURN": {"EdgeCore", "STUN"},
    "NATDiscovery": {"EdgeCore", "STUN"},
    "PortMapping": {"EdgeCore"},
    "SDP": {"EdgeCore"},
    "SIP": {"EdgeCore"},
    "PIDF": {"EdgeCore"},
    "CPIM": {"EdgeCore"},
    "MSRP": {"EdgeCore", "SDP"},
    "FrameKernels": set(),
    "FrameKernelsV3": set(),
    "FrameCodec": {"EdgeCore", "Picture", "FrameKernels", "FrameKernelsV3"},
    "Picture": {"EdgeCore"},
    "StatusModel": {"EdgeCore"},
    "Tunnel": {"EdgeCore"},
    "FileTransfer": {"EdgeCore", "SDP", "StatusModel"},
    "Alarms": {"EdgeCore", "StatusModel"},
    "UserAgent": {"EdgeCore", "STUN", "SIP"},
    "Doctor": {"EdgeCore", "NATDiscovery", "StatusModel"},
    "NodeLogic": {"EdgeCore", "SIP", "SDP", "PIDF", "StatusModel", "UserAgent"},
    "RendezvousLogic": {"EdgeCore", "STUN", "SIP", "PIDF", "CPIM", "StatusModel"},
    "OfflineService": {"EdgeCore", "SIP", "SDP", "MSRP", "CPIM", "RendezvousLogic"},
}

# The only importers of C: the C modules, and the other targets, each may know. CLinux is the C library.
ADAPTERS = {
    "LinuxIO": {"EdgeCore", "CLinux"},
    "SecureTransport": {"EdgeCore", "COpenSSL", "CLinux"},
    "SCTPTransport": {"EdgeCore", "CUsrsctp", "CLinux"},
    "Deflate": {"EdgeCore", "CZlib"},
    "Capture": {"EdgeCore", "Picture", "LinuxIO", "CLinux"},
    "Config": {"EdgeCore", "Alarms", "CYaml"},
    "XMLDocument": {"EdgeCore", "PIDF", "CExpat"},
    "Storage": {"EdgeCore", "CSQLite"},
}

# May import everything below (pure, adapters) and the glue named.
GLUE = {
    "SecureStreams": set(),
    "PeerSession": {"SecureStreams"},
    "Uplink": {"SecureStreams"},
    "MSRPTransport": {"SecureStreams", "Uplink"},
    "TunnelTransport": {"PeerSession"},
    "PeerMessaging": {"PeerSession", "Uplink"},
    "NodeRuntime": {"SecureStreams", "PeerSession", "Uplink", "MSRPTransport", "TunnelTransport", "PeerMessaging"},
    "ViewerRuntime": {"SecureStreams", "PeerSession", "Uplink", "MSRPTransport", "TunnelTransport", "PeerMessaging"},
    "RendezvousRuntime": {"SecureStreams"},
    "CommandLine": {"NodeRuntime", "SecureStreams", "Uplink", "ViewerRuntime"},
}

EXECUTABLES = {"edge": {"CommandLine"}, "edge-rendezvous": {"RendezvousRuntime"}}
EXECUTABLE_LINES = 40

# Ordinary Swift only: nothing that goes into `edge` may know these.
SERVER_ONLY = {"RendezvousLogic", "OfflineService", "Storage", "RendezvousRuntime", "edge-rendezvous"}

# Parts of the standard library that are modules of their own. `Synchronization` has only atomics in Embedded Swift.
STANDARD = {"Synchronization"}

IMPORT = re.compile(
    r"^\s*(?:@[\w()]+\s+)*(?:public|package|internal|fileprivate|private)?\s*import\s+"
    r"(?:(?:struct|class|enum|func|var|let|protocol|typealias)\s+)?([\w.]+)", re.M)

# What a pure target must be given instead of taking it.
AMBIENT = [
    (r"\b(?:debugPrint|print|dump)\s*\(", "prints"),
    (r"\bSystemRandomNumberGenerator\b", "takes randomness"),
    (r"\.random\(", "takes randomness"),
    (r"\.(?:shuffled|randomElement|shuffle)\(\s*\)", "takes randomness"),
    (r"\b(?:ContinuousClock|SuspendingClock|clock_gettime|gettimeofday)\b", "reads a clock"),
    (r"\b(?:async|await|Task|Thread|DispatchQueue)\b\s*[{(.\w]", "leaves its thread"),
]


def code_only(text):
    """The text without comments and without what is inside string literals."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r'"""(?:\\.|[^\\])*?"""', '""', text, flags=re.S)
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    return re.sub(r"//[^\n]*", "", text)


def arguments(text, start):
    """What stands between the parenthesis before `start` and the one that closes it."""
    depth = 1
    for offset in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[offset], 0)
        if depth == 0:
            return text[start:offset]
    return text[start:]


def allowed(target):
    if target in PURE:
        return PURE[target]
    if target in ADAPTERS:
        return ADAPTERS[target]
    if target in GLUE:
        below = set(PURE) | set(ADAPTERS) | GLUE[target]
        return below if target in SERVER_ONLY else below - SERVER_ONLY
    return EXECUTABLES[target]


def targets():
    return sorted(path.name for path in SOURCES.iterdir() if path.is_dir() and path.name != "CModules")


def known():
    return set(PURE) | set(ADAPTERS) | set(GLUE) | set(EXECUTABLES)


def wrong_imports():
    """Lines of the form `file: what is wrong`."""
    found = [f"Sources/{name}: in no layer of Tests/Checks/arrows.py" for name in targets() if name not in known()]
    for target in sorted(set(targets()) & known()):
        may = allowed(target) | STANDARD
        for path in sorted((SOURCES / target).rglob("*.swift")):
            for module in IMPORT.findall(code_only(path.read_text())):
                if module.split(".")[0] not in may:
                    found.append(f"{path.relative_to(ROOT)}: {target} may not import {module}")
    return found


def ambient_calls():
    """Where a pure target takes what it should be given."""
    found = []
    for target in sorted(set(PURE) & set(targets())):
        for path in sorted((SOURCES / target).rglob("*.swift")):
            text = code_only(path.read_text())
            for pattern, what in AMBIENT:
                for match in re.finditer(pattern, text):
                    if match[0].endswith("(") and "using:" in arguments(text, match.end()):
                        continue
                    found.append(f"{path.relative_to(ROOT)}: {what}: {match[0].strip()}")
    return found


def long_executables():
    found = []
    for target in sorted(set(EXECUTABLES) & set(targets())):
        lines = sum(len(path.read_text().splitlines()) for path in (SOURCES / target).rglob("*.swift"))
        if lines > EXECUTABLE_LINES:
            found.append(f"Sources/{target}: {lines} lines; an executable only starts the glue")
    return found
