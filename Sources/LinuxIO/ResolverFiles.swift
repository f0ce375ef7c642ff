public import EdgeCore

/// What /etc/hosts and /etc/resolv.conf say (hosts(5), resolv.conf(5)).
public struct ResolverFiles: Hashable, Sendable {
  /// At most three, as the C library.
  public var servers: [SocketAddress] = []
  /// Domains tried behind short names; at most six.
  public var search: [String] = []
  /// Names with at least this many dots are tried as they are first.
  public var dots = 1
  /// How long one server may take for an answer.
  public var timeout: Duration = .seconds(2)
  /// Rounds through the servers.
  public var attempts = 2
  var hosts: [UInt8] = []

  /// Reads the files; those that are missing are taken as empty. Without a server the one on this machine is asked.
  public init(hostsPath: String = "/etc/hosts", configurationPath: String = "/etc/resolv.conf") {
    hosts = (try? File.read(hostsPath, maxBytes: 1 << 20)) ?? []
    parse((try? File.read(configurationPath, maxBytes: 64 << 10)) ?? [])
  }

  /// From the contents of both files.
  public init(hosts: String, configuration: String) {
    self.hosts = Array(hosts.utf8)
    parse(Array(configuration.utf8))
  }

  private mutating func parse(_ configuration: [UInt8]) {
    for line in configuration.split(separator: UInt8(ascii: "\n")) {
      let words = Self.words(line, comments: [UInt8(ascii: "#"), UInt8(ascii: ";")])
      guard words.count >= 2 else { continue }
      switch words[0] {
      case "nameserver":
        if servers.count < 3, let ip = NameResolver.numeric(words[1]) { servers.append(SocketAddress(ip, port: 53)) }
      case "search", "domain": search = Array(words.dropFirst().prefix(6))
      case "options": for option in words.dropFirst() { parse(option: option) }
      default: break
      }
    }
    if servers.isEmpty { servers = [SocketAddress(.v4(0x7F00_0001), port: 53)] }
  }

  private mutating func parse(option: String) {
    let parts = option.split(separator: ":")
    guard parts.count == 2, let value = ASCII.decimal(String(parts[1]), max: 1000) else { return }
    switch parts[0] {
    case "ndots": dots = min(Int(value), 15)
    case "timeout": timeout = .seconds(min(max(1, Int(value)), 30))
    case "attempts": attempts = min(max(1, Int(value)), 5)
    default: break
    }
  }

  /// The addresses the hosts file gives a name, in its order.
  func addresses(of name: String) -> [IPAddress] {
    let isAbsolute = name.hasSuffix(".")
    let wanted = isAbsolute ? String(name.dropLast()) : name
    var found: [IPAddress] = []
    for line in hosts.split(separator: UInt8(ascii: "\n")) {
      let words = Self.words(line, comments: [UInt8(ascii: "#")])
      guard words.count >= 2, words.dropFirst().contains(where: { ASCII.equalIgnoringCase($0, wanted) }),
        let ip = NameResolver.numeric(words[0]), !found.contains(ip), found.count < 16
      else { continue }
      found.append(ip)
    }
    return found
  }

  /// The full names to ask for, in order.
  func candidates(_ name: String) -> [String] {
    if name.hasSuffix(".") { return [name] }
    let searched = search.map { "\(name).\($0)" }
    return name.utf8.count(where: { $0 == UInt8(ascii: ".") }) >= dots ? [name] + searched : searched + [name]
  }

  private static func words(_ line: ArraySlice<UInt8>, comments: [UInt8]) -> [String] {
    line.prefix { !comments.contains($0) }
      .split(whereSeparator: { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r") })
      .map { String(decoding: $0, as: UTF8.self) }
  }
}
