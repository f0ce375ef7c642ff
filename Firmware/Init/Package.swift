// swift-tools-version: 6.3
import PackageDescription

// The first program of the firmware image, and a tool for testing the image. Always Embedded Swift; built by Firmware/build.
let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6), .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"), .treatAllWarnings(as: .error),
  .enableExperimentalFeature("Embedded"), .unsafeFlags(["-wmo", "-parse-as-library"]),
]

let package = Package(
  name: "init",
  targets: [
    .systemLibrary(name: "CInit", path: "Sources/CInit"),
    .executableTarget(name: "init", dependencies: ["CInit"], swiftSettings: settings),
    // For tests of the image only.
    .executableTarget(name: "poke", dependencies: ["CInit"], swiftSettings: settings),
  ]
)
