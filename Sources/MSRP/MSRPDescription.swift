import EdgeCore
public import SDP

/// One end of an MSRP session as an SDP offer or answer says it (RFC 4975 §8, RFC 6135, RFC 6714).
///
/// ``init(attributes:isSecure:port:)`` and ``attributes`` serve `a=dcsa` lines of a data channel too (RFC 8873 §4.4).
public struct MSRPDescription: Hashable, Sendable {
  /// Who opens the connection (RFC 6135). Without the attribute: who made the offer.
  public enum Setup: String, Hashable, Sendable {
    case actpass, active, passive
  }

  public enum Direction: String, Hashable, Sendable {
    case sendrecv, sendonly, recvonly, inactive
  }

  /// `TCP/TLS/MSRP`.
  public var isSecure: Bool
  /// 0: the section is refused.
  public var port: UInt16
  /// Relays first, this end last; never empty.
  public var path: [MSRPURI]
  /// `*`, `type/*` and media types; never empty.
  public var acceptTypes: [String]
  /// Taken only inside of one of ``acceptTypes``.
  public var acceptWrappedTypes: [String] = []
  /// Longest message taken, in bytes: a hint.
  public var maximumSize: UInt64?
  public var setup: Setup?
  public var direction = Direction.sendrecv
  /// Connect to the address of the `m=` and `c=` lines when they differ from the path's (RFC 6714).
  public var isCEMA = false
  /// All other attributes, in order: those of file transfer (RFC 5547), fingerprints.
  public var others: [SessionDescription.Attribute] = []

  public init(path: [MSRPURI], acceptTypes: [String], setup: Setup?) {
    precondition(!path.isEmpty)
    isSecure = path[0].isSecure
    port = path[path.count - 1].port ?? 0
    self.path = path
    self.acceptTypes = acceptTypes
    self.setup = setup
  }

  /// `nil` without a path or accept-types, or when one of the attributes breaks its grammar.
  public init?(attributes: [SessionDescription.Attribute], isSecure: Bool, port: UInt16) {
    var path: [MSRPURI]?
    var acceptTypes: [String] = []
    var wrapped: [String] = []
    var maximumSize: UInt64?
    var setup: Setup?
    var direction = Direction.sendrecv
    var isCEMA = false
    var others: [SessionDescription.Attribute] = []
    for attribute in attributes {
      let value = attribute.value ?? ""
      switch attribute.name {
      case "path":
        guard path == nil, let parsed = MSRPURI.path(value) else { return nil }
        path = parsed
      case "accept-types": acceptTypes += Self.words(value)
      case "accept-wrapped-types": wrapped += Self.words(value)
      case "max-size":
        guard let size = ASCII.decimal(value, max: .max) else { return nil }
        maximumSize = size
      case "setup":
        guard let known = Setup(rawValue: value) else { return nil }
        setup = known
      case "sendrecv", "sendonly", "recvonly", "inactive":
        if let known = Direction(rawValue: attribute.name) { direction = known }
      case "msrp-cema": isCEMA = true
      default: others.append(attribute)
      }
    }
    // RFC 4975 §8.2: "MSRP URIs included in an SDP offer or answer MUST include explicit port numbers."
    guard let path, path.allSatisfy({ $0.port != nil }), !acceptTypes.isEmpty else { return nil }
    self.init(path: path, acceptTypes: acceptTypes, setup: setup)
    self.isSecure = isSecure
    self.port = port
    acceptWrappedTypes = wrapped
    self.maximumSize = maximumSize
    self.direction = direction
    self.isCEMA = isCEMA
    self.others = others
  }

  /// The first MSRP section that is not refused.
  public init?(_ session: SessionDescription) {
    for section in session.media where Self.isMSRP(section) && section.port != 0 {
      self.init(attributes: section.attributes, isSecure: section.transport == Self.secureTransport, port: section.port)
      return
    }
    return nil
  }

  private static let secureTransport = "TCP/TLS/MSRP"

  public static func isMSRP(_ section: SessionDescription.Media) -> Bool {
    section.kind == "message" && (section.transport == "TCP/MSRP" || section.transport == secureTransport)
  }

  private static func words(_ value: String) -> [String] {
    Array(value.utf8).split(separator: 0x20).prefix(64).map { String(decoding: $0, as: UTF8.self) }
  }

  public var attributes: [SessionDescription.Attribute] {
    var list: [SessionDescription.Attribute] = []
    func add(_ name: String, _ value: String? = nil) { list.append(.init(name, value)) }
    func join(_ words: [String]) -> String {
      var text = ""
      for word in words { text += (text.utf8.isEmpty ? "" : " ") + word }
      return text
    }
    add("accept-types", join(acceptTypes))
    if !acceptWrappedTypes.isEmpty { add("accept-wrapped-types", join(acceptWrappedTypes)) }
    if let maximumSize { add("max-size", "\(maximumSize)") }
    add("path", path.pathText)
    if let setup { add("setup", setup.rawValue) }
    if direction != .sendrecv { add(direction.rawValue) }
    if isCEMA { add("msrp-cema") }
    return list + others
  }

  /// The `m=` section. RFC 4975 §8.1: port and `c=` are those of this end's URI.
  public var media: SessionDescription.Media {
    var media = SessionDescription.Media(
      kind: "message", port: port, transport: isSecure ? Self.secureTransport : "TCP/MSRP", formats: ["*"])
    let host = path[path.count - 1].host
    media.connection = .init(addressType: IPAddress(host).map { $0.isV4 ? "IP4" : "IP6" } ?? "IP4", address: host)
    media.attributes = attributes
    return media
  }

  /// An offer, or an answer to one with a single section.
  public func session(id: String) -> SessionDescription {
    var session = SessionDescription(origin: .init(sessionID: id, sessionVersion: 1))
    session.origin.address = path[path.count - 1].host
    session.origin.addressType = IPAddress(session.origin.address)?.isV4 == false ? "IP6" : "IP4"
    session.media = [media]
    return session
  }

  /// RFC 6135 §4.2: whether the answerer opens the connection, when the offer says `offer`; it prefers to be `active`.
  public static func answer(to offer: Setup?, prefersActive: Bool) -> Setup? {
    switch offer {
    case .actpass: prefersActive ? .active : .passive
    case .active: .passive
    case .passive: .active
    // RFC 4975 §8.5: "The party that sent the original offer is responsible for connecting to its peer."
    case nil: nil
    }
  }
}
