// swift-tools-version: 6.3
import PackageDescription

// A package of its own: what it builds is instrumented, and nothing of the product depends on it.
// Sources/EdgeCore and its like are links to the targets under test, with the settings of the product.
let common: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableExperimentalFeature("Lifetimes"),
]

#if arch(x86_64)
  let v3Flags = ["-Xcc", "-march=x86-64-v3"]
#else
  let v3Flags: [String] = []
#endif

/// libFuzzer brings the loop; `FuzzDriver` brings a `main` for each of these.
func fuzzer(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(
    name: name, dependencies: dependencies + ["FuzzDriver"],
    swiftSettings: common + [.unsafeFlags(["-parse-as-library"])],
    linkerSettings: [.unsafeFlags(["-use-ld=lld"])])
}

let package = Package(
  name: "fuzz",
  targets: [
    .systemLibrary(name: "CExpat"),
    .systemLibrary(name: "CLinux"),
    .systemLibrary(name: "CYaml"),
    .target(name: "EdgeCore", swiftSettings: common),
    .target(name: "STUN", dependencies: ["EdgeCore"], swiftSettings: common),
    .target(name: "TURN", dependencies: ["EdgeCore", "STUN"], swiftSettings: common),
    .target(name: "ICE", dependencies: ["EdgeCore", "STUN"], swiftSettings: common),
    .target(name: "SDP", dependencies: ["EdgeCore"], swiftSettings: common),
    .target(name: "MSRP", dependencies: ["EdgeCore", "SDP"], swiftSettings: common),
    .target(name: "SIP", dependencies: ["EdgeCore"], swiftSettings: common),
    .target(name: "PIDF", dependencies: ["EdgeCore"], swiftSettings: common),
    .target(name: "StatusModel", dependencies: ["EdgeCore"], swiftSettings: common),
    .target(name: "FileTransfer", dependencies: ["EdgeCore", "SDP", "StatusModel"], swiftSettings: common),
    .target(name: "Alarms", dependencies: ["EdgeCore", "StatusModel"], swiftSettings: common),
    .target(name: "Config", dependencies: ["EdgeCore", "Alarms", "CYaml"], swiftSettings: common),
    .target(name: "XMLDocument", dependencies: ["EdgeCore", "PIDF", "CExpat"], swiftSettings: common),
    .target(name: "Picture", dependencies: ["EdgeCore"], swiftSettings: common),
    .target(name: "FrameKernels", swiftSettings: common),
    .target(name: "FrameKernelsV3", swiftSettings: common + [.unsafeFlags(v3Flags)]),
    .target(
      name: "FrameCodec", dependencies: ["EdgeCore", "Picture", "FrameKernels", "FrameKernelsV3"],
      swiftSettings: common),
    .target(name: "FuzzDriver"),
    fuzzer("FuzzFrames", ["CLinux", "FrameCodec"]),
    fuzzer("FuzzFiles", ["FileTransfer", "SDP"]),
    fuzzer("FuzzICE", ["EdgeCore", "STUN", "ICE"]),
    fuzzer("FuzzJSON", ["StatusModel"]),
    fuzzer("FuzzMSRP", ["EdgeCore", "MSRP"]),
    fuzzer("FuzzSDP", ["SDP"]),
    fuzzer("FuzzSIP", ["EdgeCore", "SIP"]),
    fuzzer("FuzzSTUN", ["EdgeCore", "STUN"]),
    fuzzer("FuzzTURN", ["EdgeCore", "STUN", "TURN"]),
    fuzzer("FuzzXML", ["PIDF", "XMLDocument"]),
    fuzzer("FuzzYAML", ["Config"]),
  ]
)
