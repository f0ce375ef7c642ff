// swift-tools-version: 6.3
import PackageDescription

// Everything that goes into `edge` compiles two ways from the same files: as ordinary Swift
// (the default) and as Embedded Swift (EDGE_EMBEDDED=1, see Firmware/README.md).
let embedded = Context.environment["EDGE_EMBEDDED"] == "1"

let common: [SwiftSetting] =
  [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    // Needed by `~Escapable` cursors over packet buffers (ByteReader).
    .enableExperimentalFeature("Lifetimes"),
    .treatAllWarnings(as: .error),
  ] + (embedded ? [.enableExperimentalFeature("Embedded"), .unsafeFlags(["-wmo"])] : [])

/// A protocol core: no socket, clock, random source, log, thread or C import.
func pure(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: common + [.strictMemorySafety()])
}

/// A pure target of loops over pictures, optimised in debug builds too: without that a picture
/// takes a hundred times as long and tests of it minutes.
func pureLoops(_ name: String, _ dependencies: [Target.Dependency] = [], flags: [String] = []) -> Target {
  let optimised: [SwiftSetting] = embedded ? [] : [.unsafeFlags(["-O"], .when(configuration: .debug))]
  return .target(
    name: name, dependencies: dependencies,
    swiftSettings: common + [.strictMemorySafety()] + optimised + (flags.isEmpty ? [] : [.unsafeFlags(flags)]))
}

/// Machine instructions of x86-64-v3; FrameCodec asks before it uses what is compiled with them.
#if arch(x86_64)
  let v3Flags = ["-Xcc", "-march=x86-64-v3"]
#else
  let v3Flags: [String] = []
#endif

/// An adapter (the only importers of C) or glue.
func impure(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: common)
}

func executable(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(
    name: name, dependencies: dependencies, swiftSettings: common + [.unsafeFlags(["-parse-as-library"])])
}

func tests(
  _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = [], resources: [Resource] = []
) -> Target {
  .testTarget(
    name: name + "Tests", dependencies: [.byName(name: name)] + dependencies, exclude: exclude, resources: resources,
    swiftSettings: common)
}

let cModules: [Target] = [
  .systemLibrary(name: "CLinux", path: "Sources/CModules/CLinux"),
  .systemLibrary(name: "COpenSSL", path: "Sources/CModules/COpenSSL"),
  .systemLibrary(name: "CUsrsctp", path: "Sources/CModules/CUsrsctp"),
  .systemLibrary(name: "CZlib", path: "Sources/CModules/CZlib"),
  .systemLibrary(name: "CYaml", path: "Sources/CModules/CYaml"),
  .systemLibrary(name: "CExpat", path: "Sources/CModules/CExpat"),
  .systemLibrary(name: "CSQLite", path: "Sources/CModules/CSQLite"),
]

// The arrows point down only; Tests/Checks/arrows.py holds the same rules for `import` lines.
let pureTargets: [Target] = [
  pure("EdgeCore"),
  pure("STUN", ["EdgeCore"]),
  pure("ICE", ["EdgeCore", "STUN"]),
  pure("TURN", ["EdgeCore", "STUN"]),
  pure("NATDiscovery", ["EdgeCore", "STUN"]),
  pure("PortMapping", ["EdgeCore"]),
  pure("SDP", ["EdgeCore"]),
  pure("SIP", ["EdgeCore"]),
  pure("PIDF", ["EdgeCore"]),
  pure("CPIM", ["EdgeCore"]),
  pure("MSRP", ["EdgeCore", "SDP"]),
  pureLoops("FrameKernels"),
  // The same files, through a link.
  pureLoops("FrameKernelsV3", flags: v3Flags),
  pureLoops("FrameCodec", ["EdgeCore", "Picture", "FrameKernels", "FrameKernelsV3"]),
  pureLoops("Picture", ["EdgeCore"]),
  pure("StatusModel", ["EdgeCore"]),
  pure("Tunnel", ["EdgeCore"]),
  pure("FileTransfer", ["EdgeCore", "SDP", "StatusModel"]),
  pure("Alarms", ["EdgeCore", "StatusModel"]),
  pure("UserAgent", ["EdgeCore", "STUN", "SIP"]),
  pure("Doctor", ["EdgeCore", "NATDiscovery", "StatusModel"]),
  pure("NodeLogic", ["EdgeCore", "SIP", "SDP", "PIDF", "StatusModel", "UserAgent"]),
]

let adapterTargets: [Target] = [
  impure("LinuxIO", ["EdgeCore", "CLinux"]),
  impure("SecureTransport", ["EdgeCore", "COpenSSL", "CLinux"]),
  impure("SCTPTransport", ["EdgeCore", "CUsrsctp", "CLinux"]),
  impure("Deflate", ["EdgeCore", "CZlib"]),
  impure("Capture", ["EdgeCore", "Picture", "LinuxIO", "CLinux"]),
  impure("Config", ["EdgeCore", "Alarms", "CYaml"]),
  impure("XMLDocument", ["EdgeCore", "PIDF", "CExpat"]),
]

let edgeGlueTargets: [Target] = [
  impure("SecureStreams", ["EdgeCore", "LinuxIO", "SecureTransport"]),
  impure(
    "Uplink",
    [
      "EdgeCore", "STUN", "NATDiscovery", "SIP", "MSRP", "CPIM", "Alarms", "UserAgent", "StatusModel", "LinuxIO",
      "SecureStreams", "SecureTransport", "Config",
    ]),
  impure(
    "PeerSession",
    [
      "EdgeCore", "STUN", "TURN", "ICE", "PortMapping", "SDP", "LinuxIO", "SecureStreams", "SecureTransport",
      "SCTPTransport",
    ]),
  impure(
    "MSRPTransport",
    [
      "EdgeCore", "SIP", "SDP", "MSRP", "CPIM", "UserAgent", "LinuxIO", "SecureStreams", "SecureTransport", "Uplink",
    ]),
  impure("TunnelTransport", ["EdgeCore", "Tunnel", "LinuxIO", "SCTPTransport", "PeerSession"]),
  impure(
    "PeerMessaging",
    [
      "EdgeCore", "MSRP", "FileTransfer", "SDP", "SIP", "UserAgent", "TURN", "LinuxIO", "SCTPTransport",
      "SecureTransport", "PeerSession", "Uplink",
    ]),
  impure(
    "NodeRuntime",
    [
      "EdgeCore", "STUN", "NATDiscovery", "TURN", "ICE", "SDP", "SIP", "FrameCodec", "Picture", "StatusModel",
      "UserAgent", "NodeLogic",
      "LinuxIO",
      "Uplink", "MSRPTransport", "SCTPTransport", "SecureStreams", "SecureTransport", "Capture", "Config", "PIDF",
      "XMLDocument",
      "Deflate",
      "PeerSession", "Tunnel", "TunnelTransport", "CPIM", "MSRP", "FileTransfer", "PeerMessaging", "Alarms",
    ]),
  impure(
    "ViewerRuntime",
    [
      "EdgeCore", "STUN", "NATDiscovery", "TURN", "ICE", "SDP", "SIP", "FrameCodec", "Picture", "StatusModel", "Doctor",
      "UserAgent", "NodeLogic",
      "LinuxIO",
      "Uplink", "MSRPTransport", "SCTPTransport", "SecureStreams", "SecureTransport", "Deflate", "Config", "PIDF",
      "XMLDocument",
      "PeerSession", "Tunnel", "TunnelTransport", "CPIM", "MSRP", "FileTransfer", "PeerMessaging", "Alarms",
    ]),
  impure(
    "CommandLine",
    [
      "EdgeCore", "STUN", "NATDiscovery", "StatusModel", "Alarms", "Doctor", "Config", "LinuxIO", "Capture", "Deflate",
      "Picture",
      "SecureStreams", "Uplink", "NodeRuntime", "ViewerRuntime", "SecureTransport", "FileTransfer",
    ]),
  executable("edge", ["CommandLine"]),
]

let serverTargets: [Target] = [
  pure("RendezvousLogic", ["EdgeCore", "STUN", "SIP", "PIDF", "CPIM", "StatusModel"]),
  pure("OfflineService", ["EdgeCore", "SIP", "SDP", "MSRP", "CPIM", "RendezvousLogic"]),
  impure("Storage", ["EdgeCore", "CSQLite"]),
  impure(
    "RendezvousRuntime",
    [
      "EdgeCore", "STUN", "NATDiscovery", "TURN", "SIP", "StatusModel", "RendezvousLogic", "OfflineService", "LinuxIO",
      "SecureStreams",
      "SecureTransport",
      "Config", "PIDF", "XMLDocument", "Storage",
    ]),
  executable("edge-rendezvous", ["RendezvousRuntime"]),
]

let testTargets: [Target] = [
  .executableTarget(
    name: "frame-benchmark", dependencies: ["EdgeCore", "Picture", "FrameCodec", "Deflate", "Alarms"],
    path: "Tests/Benchmarks/Frames", exclude: ["run.py"],
    swiftSettings: common + [.unsafeFlags(["-parse-as-library"])]),
  .executableTarget(
    name: "peer-benchmark",
    dependencies: [
      "EdgeCore", "FileTransfer", "LinuxIO", "MSRP", "PeerMessaging", "PeerSession", "SCTPTransport", "SDP",
      "SecureTransport", "StatusModel",
    ],
    path: "Tests/Benchmarks/Peers", swiftSettings: common + [.unsafeFlags(["-parse-as-library"])]),
  .target(
    name: "SimNet", dependencies: ["EdgeCore"], path: "Tests/SimNet", swiftSettings: common),
  tests("EdgeCore", []),
  tests("STUN", ["EdgeCore", "SecureTransport"]),
  tests("ICE", ["EdgeCore", "STUN", "SimNet", "SecureTransport"]),
  tests("TURN", ["EdgeCore", "STUN", "SimNet", "SecureTransport"]),
  tests("PortMapping", ["EdgeCore"]),
  tests("Doctor", ["EdgeCore", "NATDiscovery", "StatusModel"]),
  tests("NATDiscovery", ["EdgeCore", "STUN", "SimNet"]),
  tests("SDP", ["EdgeCore"]),
  tests("SIP", ["EdgeCore", "SecureTransport"]),
  tests("PIDF", ["EdgeCore"]),
  tests("CPIM", ["EdgeCore"]),
  tests("MSRP", ["EdgeCore", "SDP"]),
  tests("FrameCodec", ["EdgeCore", "Picture", "Deflate", "LinuxIO"]),
  tests("Picture", ["EdgeCore", "Deflate"]),
  tests("StatusModel", ["EdgeCore"]),
  tests("Alarms", ["EdgeCore", "StatusModel", "FrameCodec", "Picture"]),
  tests("Tunnel", ["EdgeCore"]),
  tests("FileTransfer", ["EdgeCore", "SDP", "StatusModel"]),
  tests("UserAgent", ["EdgeCore", "SIP", "STUN", "SecureTransport"]),
  tests(
    "Uplink",
    ["EdgeCore", "STUN", "SIP", "UserAgent", "StatusModel", "LinuxIO", "SecureStreams", "SecureTransport", "Config"]),
  tests("NodeLogic", ["EdgeCore", "SIP", "SDP", "StatusModel", "UserAgent", "SecureTransport"]),
  tests("LinuxIO", ["EdgeCore"]),
  tests("SecureTransport", ["EdgeCore"]),
  tests("SCTPTransport", ["EdgeCore", "SimNet"]),
  tests("Deflate", ["EdgeCore"]),
  tests("Capture", ["EdgeCore", "Picture", "LinuxIO"]),
  tests("Config", ["EdgeCore", "Alarms"]),
  tests("XMLDocument", ["EdgeCore", "PIDF"]),
  tests("SecureStreams", ["EdgeCore", "LinuxIO", "SecureTransport"]),
  tests("PeerSession", ["EdgeCore", "STUN", "ICE", "SDP", "LinuxIO", "SecureTransport", "SCTPTransport", "SimNet"]),
  tests(
    "PeerMessaging",
    ["EdgeCore", "MSRP", "FileTransfer", "SDP", "LinuxIO", "SecureTransport", "PeerSession", "SCTPTransport"]),
  tests("RendezvousLogic", ["EdgeCore", "STUN", "SIP", "CPIM", "StatusModel", "SecureTransport"]),
  tests(
    "OfflineService",
    [
      "EdgeCore", "SIP", "SDP", "MSRP", "CPIM", "PIDF", "RendezvousLogic", "SecureTransport", "XMLDocument",
    ]),
  tests("Storage", ["EdgeCore"]),
  tests(
    "RendezvousRuntime",
    [
      "EdgeCore", "SIP", "RendezvousLogic", "LinuxIO", "SecureStreams", "SecureTransport", "Config", "StatusModel",
      "Storage",
    ]),
  tests(
    "NodeRuntime", ["EdgeCore", "Picture", "FrameCodec", "Capture", "StatusModel", "NodeLogic", "LinuxIO", "Config"]),
  tests("ViewerRuntime", ["EdgeCore", "Picture", "FrameCodec", "Deflate"]),
  tests("CommandLine", ["EdgeCore", "StatusModel", "Config", "LinuxIO"], exclude: ["Snapshots"]),
]

let package = Package(
  name: "edge",
  targets: cModules + pureTargets + adapterTargets + edgeGlueTargets
    + (embedded ? [] : serverTargets + testTargets)
)
