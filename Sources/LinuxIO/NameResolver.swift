import CLinux
public import EdgeCore

/// Turns host names into addresses, on the reactor: the hosts file, then the name servers of resolv.conf over UDP, and
/// TCP for what does not fit.
///
/// Not getaddrinfo: that one blocks, and in a static program it loads the machine's name service modules together with
/// a second C library of another version. So names that only such a module knows (mDNS, LDAP) are not found.
public final class NameResolver {
  public enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
    case notAName(String)
    case notFound(String)
    /// It exists, and has no address.
    case noAddress(String)
    /// No name server answered.
    case noAnswer(String, servers: [SocketAddress])
    /// The name servers answered that they cannot tell.
    case refused(String, servers: [SocketAddress])
    /// Too many look-ups at once.
    case busy

    public var description: String {
      switch self {
      case .notAName(let name): "\(name) is neither a host name nor an address: correct it"
      case .notFound(let name): "no such host: \(name): check the name"
      case .noAddress(let name): "the name \(name) exists and has no address: check it with whoever runs it"
      case .noAnswer(let name, let servers):
        "no answer about \(name) from name server \(Self.list(servers)): check the network, or /etc/resolv.conf"
      case .refused(let name, let servers):
        "name server \(Self.list(servers)) could not look up \(name): try again later, or check /etc/resolv.conf"
      case .busy: "too many look-ups at once: try again later"
      }
    }

    private static func list(_ servers: [SocketAddress]) -> String {
      servers.map { "\($0.ip)" }.joined(separator: ", ")
    }
  }

  public typealias Completion = (Result<[IPAddress], Failure>) -> Void

  /// Names one look-up.
  public struct Request: Hashable, Sendable {
    let id: UInt64
  }

  private let reactor: Reactor
  private let readFiles: () -> ResolverFiles
  private var lookups: [UInt64: Lookup] = [:]
  /// Look-ups whose result is known and not told yet.
  private var settled: Set<UInt64> = []
  private var lastID: UInt64 = 0

  /// Look-ups under way at once.
  public static let capacity = 32

  /// `files` is called for every look-up, so that a changed network is followed.
  public init(reactor: Reactor, files: @escaping () -> ResolverFiles = { ResolverFiles() }) {
    self.reactor = reactor
    readFiles = files
  }

  /// Calls `completion` once, never before this returns, unless cancelled: with at least one address, IPv6 and IPv4 in
  /// the servers' order, IPv6 first.
  @discardableResult
  public func resolve(_ name: String, completion: @escaping Completion) -> Request {
    lastID += 1
    let id = lastID
    if let address = Self.numeric(name) {
      finishLater(id, .success([address]), completion)
    } else if DNSMessage.labels(name) == nil {
      finishLater(id, .failure(.notAName(name)), completion)
    } else if lookups.count >= Self.capacity {
      finishLater(id, .failure(.busy), completion)
    } else {
      let files = readFiles()
      let listed = files.addresses(of: name)
      if !listed.isEmpty {
        finishLater(id, .success(listed), completion)
      } else if Self.isLocalhost(name) {
        // RFC 6761 §6.3: never asked of a server.
        finishLater(id, .success([.v6(high: 0, low: 1, scope: 0), .v4(0x7F00_0001)]), completion)
      } else {
        let lookup = Lookup(reactor: reactor, name: name, files: files) { result in
          guard self.lookups.removeValue(forKey: id) != nil else { return }
          completion(result)
        }
        lookups[id] = lookup
        reactor.enqueue(.signalling) { lookup.begin() }
      }
    }
    return Request(id: id)
  }

  /// The completion of `request` is not called any more.
  public func cancel(_ request: Request) {
    settled.remove(request.id)
    lookups.removeValue(forKey: request.id)?.cancel()
  }

  /// An address as text, in brackets or not, with `%eth0` or `%2` behind a link-local one.
  public static func numeric(_ text: String) -> IPAddress? {
    var bytes = Array(text.utf8)[...]
    if bytes.first == UInt8(ascii: "["), bytes.last == UInt8(ascii: "]") { bytes = bytes.dropFirst().dropLast() }
    guard let percent = bytes.firstIndex(of: UInt8(ascii: "%")) else { return IPAddress(ascii: bytes) }
    let zone = bytes[(percent + 1)...]
    guard let address = IPAddress(ascii: bytes[..<percent]), address.isLinkLocal,
      case .v6(let high, let low, _) = address, zone.count < 16
    else { return nil }
    let number = ASCII.decimal(zone, max: UInt64(UInt32.max)).map { UInt32($0) }
    let index = number ?? if_nametoindex(String(decoding: zone, as: UTF8.self))
    return index == 0 ? nil : .v6(high: high, low: low, scope: index)
  }

  private static func isLocalhost(_ name: String) -> Bool {
    guard let last = DNSMessage.labels(name)?.last else { return false }
    return last == Array("localhost".utf8)
  }

  private func finishLater(_ id: UInt64, _ result: Result<[IPAddress], Failure>, _ completion: @escaping Completion) {
    settled.insert(id)
    reactor.enqueue(.signalling) {
      guard self.settled.remove(id) != nil else { return }
      completion(result)
    }
  }
}
