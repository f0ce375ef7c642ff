internal import Config
public import EdgeCore
internal import LinuxIO

/// `edge tunnel`
public struct TunnelCommandOptions: Hashable, Sendable {
  public var serial: String
  public var account: AccountOptions
  public var listen: SocketAddress
  public var path: ViewOptions.PathChoice
}

extension TunnelCommandOptions {
  static let syntax = CommandSyntax(
    "tunnel", summary: "reach a device behind a node",
    discussion: """
      Carries TCP connections to a published device (rtsp, http or tcp) on the node's network: prints the address to \
      connect to and serves any number of connections, up to 64 at a time, until Ctrl-C.
      """,
    arguments: [.init("SERIAL", "the device's serial number, as edge devices lists it")],
    options: AccountOptions.options + [
      .init("--listen", "ADDRESS", "where to accept connections (default: 127.0.0.1:0, a free port)"),
      .init("--relay-only", nil, "connect through the relay only (default: the best path)"),
      .init("--no-relay", nil, "never connect through the relay (default: when nothing else works)"),
    ])

  init(_ parsed: ParsedArguments) throws(UsageError) {
    serial = parsed.arguments[0]
    guard Names.isValidSerial(serial) else { throw UsageError("'\(serial)' is not a serial number") }
    account = try AccountOptions(parsed)
    let text = parsed.value("--listen") ?? "127.0.0.1:0"
    guard let listen = SocketAddress(text) else {
      throw UsageError("--listen: '\(text)' is not an address such as 127.0.0.1:8080")
    }
    self.listen = listen
    path = try ViewOptions.PathChoice(parsed)
  }
}

extension ViewOptions.PathChoice {
  /// `--relay-only` or `--no-relay`.
  init(_ parsed: ParsedArguments) throws(UsageError) {
    switch (parsed.has("--relay-only"), parsed.has("--no-relay")) {
    case (false, false): self = .any
    case (true, false): self = .relayOnly
    case (false, true): self = .noRelay
    case (true, true): throw UsageError("--relay-only and --no-relay exclude each other")
    }
  }
}
