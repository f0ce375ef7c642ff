internal import EdgeCore

/// One end of a WebRTC data channel association, as an SDP offer or answer says it:
/// ICE (RFC 8839), DTLS (RFC 8842) and SCTP (RFC 8841) of one `m=application` section.
///
/// `DataChannelDescription(parsing: x.serialized)` equals `x` when `x` has a mid, at least one
/// fingerprint, no more than ``SDPLimits/candidates`` candidates and no IPv6 scope.
public struct DataChannelDescription: Hashable, Sendable {
  /// Who opens the DTLS connection (RFC 4145 §4, RFC 8842 §5.2).
  public enum Setup: Hashable, Sendable {
    /// An offer leaves it to the answerer.
    case actpass
    /// This end sends the ClientHello.
    case active
    case passive
  }

  /// The `sess-id` and `sess-version` of the `o=` line: the version grows by one with each change.
  public var sessionID: String
  public var sessionVersion: UInt64 = 1

  /// 4...256 `ice-char`s.
  public var iceUfrag: String
  /// 22...256 `ice-char`s.
  public var icePassword: String
  public var iceOptions: [String] = ["ice2", "trickle"]
  /// The peer only answers checks (RFC 8445 §2.5).
  public var isICELite = false
  public var candidates: [SDPCandidate] = []
  /// No more candidates will be trickled (RFC 8840 §8.2).
  public var endOfCandidates = false

  /// Certificates the peer may present; any one of them will do. Never empty after parsing.
  public var fingerprints: [Fingerprint]
  public var setup: Setup
  /// RFC 8842 §4: changes when a new DTLS association is wanted.
  public var tlsID: String?

  /// Identifies the section in bundles and trickle fragments (RFC 5888).
  public var mid: String? = "0"
  /// The section is named in an `a=group:BUNDLE` (RFC 9143). Browsers and aiortc expect one.
  public var isBundled = true

  public var sctpPort: UInt16 = 5000
  /// The largest message this end receives, in bytes; 0 means any size (RFC 8841 §6).
  public var maxMessageSize: UInt64 = 65_536
  /// Data channels both ends agree on here (RFC 8864). Others may be opened later as ever.
  public var channels: [NegotiatedChannel] = []
  /// What the offerer wants of a camera from its first picture on, in words this layer does not know: the value of
  /// `a=x-edge-wish`, at most ``SDPLimits/wishBytes`` visible characters and blanks.
  public var wish: String?

  public init(sessionID: String, iceUfrag: String, icePassword: String, fingerprint: Fingerprint, setup: Setup) {
    self.sessionID = sessionID
    self.iceUfrag = iceUfrag
    self.icePassword = icePassword
    self.fingerprints = [fingerprint]
    self.setup = setup
  }

  /// `ice-options` names `option`: RFC 8839 §5.6 has its tags case-sensitive.
  public func hasICEOption(_ option: String) -> Bool { iceOptions.contains(option) }
}

// MARK: Writing

extension DataChannelDescription {
  static let transport = "UDP/DTLS/SCTP"
  static let format = "webrtc-datachannel"
  static let wishAttribute = "x-edge-wish"

  /// An offer, or an answer to an offer with a single section.
  public var serialized: String { sessionDescription.serialized }

  public var sessionDescription: SessionDescription {
    var session = SessionDescription(origin: .init(sessionID: sessionID, sessionVersion: sessionVersion))
    if isBundled, let mid { session.attributes.append(.init("group", "BUNDLE " + mid)) }
    session.media = [media]
    return session
  }

  /// An answer with one section for each of the offer's, all but the data channel's refused
  /// (RFC 3264 §6: "there MUST be a matching m= line in the answer", port 0 to refuse).
  ///
  /// The caller has parsed `offer` with ``init(_:)-(SessionDescription)`` and copied its `mid`.
  public func answer(to offer: SessionDescription) -> SessionDescription {
    var answer = sessionDescription
    answer.media = []
    var isAnswered = false
    for section in offer.media {
      if !isAnswered, Self.isDataChannel(section) {
        isAnswered = true
        answer.media.append(media)
      } else {
        var refused = SessionDescription.Media(
          kind: section.kind, port: 0, transport: section.transport, formats: section.formats)
        if let mid = section.attribute("mid") { refused.attributes.append(.init("mid", mid)) }
        answer.media.append(refused)
      }
    }
    return answer
  }

  private var media: SessionDescription.Media {
    // RFC 8839 §4.2.1.2: the default destination is the candidate most likely to work with a peer without ICE.
    let destination = defaultCandidate?.address
    // RFC 8840 §4.1.1: without a candidate, port 9 and the unspecified address.
    var media = SessionDescription.Media(
      kind: "application", port: destination?.port ?? 9, transport: Self.transport, formats: [Self.format])
    let ip = destination?.ip ?? .anyV4
    media.connection = .init(addressType: ip.isV4 ? "IP4" : "IP6", address: "\(ip)")
    func add(_ name: String, _ value: String? = nil) { media.attributes.append(.init(name, value)) }
    if let mid { add("mid", mid) }
    if isICELite { add("ice-lite") }
    add("ice-ufrag", iceUfrag)
    add("ice-pwd", icePassword)
    if !iceOptions.isEmpty {
      var text = ""
      for option in iceOptions { text += text.utf8.isEmpty ? option : " " + option }
      add("ice-options", text)
    }
    for fingerprint in fingerprints { add("fingerprint", "sha-256 \(fingerprint)") }
    add("setup", setup.text)
    if let tlsID { add("tls-id", tlsID) }
    add("sctp-port", "\(sctpPort)")
    add("max-message-size", "\(maxMessageSize)")
    for channel in channels { media.attributes += channel.lines }
    if let wish { add(Self.wishAttribute, wish) }
    for candidate in candidates { add("candidate", candidate.serialized) }
    if endOfCandidates { add("end-of-candidates") }
    return media
  }

  private var defaultCandidate: SDPCandidate? {
    var best: SDPCandidate?
    for candidate in candidates {
      guard let current = best else {
        best = candidate
        continue
      }
      if candidate.defaultRank > current.defaultRank { best = candidate }
    }
    return best
  }
}

extension SDPCandidate {
  /// RFC 8839 §4.2.1.2: relayed candidates first, then server-reflexive, then host; IPv4 before IPv6.
  fileprivate var defaultRank: Int {
    let byKind =
      switch kind {
      case .relayed: 6
      case .serverReflexive: 4
      case .peerReflexive: 2
      case .host: 0
      }
    return byKind + (address.ip.isV4 ? 1 : 0)
  }
}

extension DataChannelDescription.Setup {
  public var text: String {
    switch self {
    case .actpass: "actpass"
    case .active: "active"
    case .passive: "passive"
    }
  }

  init?(_ text: String) {
    if ASCII.equalIgnoringCase(text, "actpass") {
      self = .actpass
    } else if ASCII.equalIgnoringCase(text, "active") {
      self = .active
    } else if ASCII.equalIgnoringCase(text, "passive") {
      self = .passive
    } else {
      return nil
    }
  }
}
