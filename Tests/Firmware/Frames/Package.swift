// swift-tools-version: 6.3
import PackageDescription

// The frame coder as the firmware has it, in a program that tells what it makes. Always Embedded Swift; built by
// Firmware/build. Sources/FrameCodec and its like are links to the targets under test, with the settings of the product.
let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
  .enableExperimentalFeature("Embedded"),
  .unsafeFlags(["-wmo"]),
]

#if arch(x86_64)
  let v3Flags = ["-Xcc", "-march=x86-64-v3"]
#else
  let v3Flags: [String] = []
#endif

let package = Package(
  name: "frame-checksums",
  targets: [
    .systemLibrary(name: "CLinux"),
    .target(name: "EdgeCore", swiftSettings: settings),
    .target(name: "Picture", dependencies: ["EdgeCore"], swiftSettings: settings),
    .target(name: "FrameKernels", swiftSettings: settings),
    .target(name: "FrameKernelsV3", swiftSettings: settings + [.unsafeFlags(v3Flags)]),
    .target(
      name: "FrameCodec", dependencies: ["EdgeCore", "Picture", "FrameKernels", "FrameKernelsV3"],
      swiftSettings: settings),
    .executableTarget(
      name: "frame-checksums", dependencies: ["CLinux", "EdgeCore", "FrameCodec", "Picture"],
      swiftSettings: settings + [.unsafeFlags(["-parse-as-library"])]),
  ]
)
