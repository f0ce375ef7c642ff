internal import EdgeCore

extension DataChannelDescription {
  public init(_ text: String) throws(SDPError) { try self.init(SessionDescription(text)) }

  public init(parsing bytes: RawSpan) throws(SDPError) { try self.init(SessionDescription(parsing: bytes)) }

  /// Reads the first data channel section that is not refused. Candidates of no use to us (TCP, names,
  /// unknown types) and malformed ones are left out; RFC 8839 §5.1 has them ignored.
  public init(_ session: SessionDescription) throws(SDPError) {
    guard let media = session.media.first(where: { Self.isDataChannel($0) && $0.port != 0 }) else {
      throw .noDataChannel
    }
    // RFC 8839 §5.4: a media-level value overrides the session-level one.
    func value(_ name: String) -> String? { media.attribute(name) ?? session.attribute(name) }

    guard let ufrag = value("ice-ufrag") else { throw .missing(.iceUfrag) }
    guard Grammar.isICEText(ufrag, 4...256) else { throw .invalid(.iceUfrag) }
    guard let password = value("ice-pwd") else { throw .missing(.icePassword) }
    guard Grammar.isICEText(password, 22...256) else { throw .invalid(.icePassword) }
    // RFC 8842 §5: "The setup attribute MUST be included" by both ends.
    guard let setupText = value("setup") else { throw .missing(.setup) }
    guard let setup = Setup(setupText) else { throw .invalid(.setup) }
    let fingerprints = try Self.fingerprints(of: media, in: session)

    self.init(
      sessionID: session.origin.sessionID, iceUfrag: ufrag, icePassword: password, fingerprint: fingerprints[0],
      setup: setup)
    self.fingerprints = fingerprints
    sessionVersion = session.origin.sessionVersion
    iceOptions = value("ice-options").map { words(Array($0.utf8)[...]) } ?? []
    isICELite = session.attribute("ice-lite") != nil || media.attribute("ice-lite") != nil
    endOfCandidates = value("end-of-candidates") != nil
    candidates = SDPCandidate.usable(in: media.attributes)

    mid = media.attribute("mid")
    if let mid, !Grammar.isToken(mid) { throw .invalid(.mid) }
    isBundled = mid.map { Self.isBundled($0, in: session) } ?? false
    tlsID = media.attribute("tls-id")
    if let tlsID, !Self.isTLSID(tlsID) { throw .invalid(.tlsID) }

    // RFC 8841 §5: "No default value is defined for the SDP "sctp-port" attribute."
    guard let portText = media.attribute("sctp-port") else { throw .missing(.sctpPort) }
    guard let port = ASCII.decimal(portText, max: 65_535), port > 0 else { throw .invalid(.sctpPort) }
    sctpPort = UInt16(port)
    // RFC 8841 §6: "If the SDP "max-message-size" attribute is not present, the default value is 64K."
    if let sizeText = media.attribute("max-message-size") {
      guard let size = ASCII.decimal(sizeText, max: .max) else { throw .invalid(.maxMessageSize) }
      maxMessageSize = size
    } else {
      maxMessageSize = 65_536
    }
    channels = NegotiatedChannel.all(in: media.attributes)
    // A call without a wish is better than none.
    wish = media.attribute(Self.wishAttribute).flatMap { Grammar.isVisible($0, 1...SDPLimits.wishBytes) ? $0 : nil }
  }

  /// RFC 8841 §4.3: proto `UDP/DTLS/SCTP` or `TCP/DTLS/SCTP` (which only says what the default candidate
  /// is), format `webrtc-datachannel`.
  static func isDataChannel(_ media: SessionDescription.Media) -> Bool {
    media.kind == "application" && (media.transport == transport || media.transport == "TCP/DTLS/SCTP")
      && media.formats.contains(format)
  }

  private static func fingerprints(
    of media: SessionDescription.Media, in session: SessionDescription
  ) throws(SDPError) -> [Fingerprint] {
    var values = media.attributes.values("fingerprint")
    if values.isEmpty { values = session.attributes.values("fingerprint") }
    var found: [Fingerprint] = []
    // Eight certificates are more than any peer has.
    for value in values.prefix(24) where found.count < 8 {
      switch Fingerprint.parse(attribute: value) {
      case .sha256(let fingerprint): found.append(fingerprint)
      case .otherFunction: continue
      case .malformed: throw .invalid(.fingerprint)
      }
    }
    guard !found.isEmpty else { throw .missing(.fingerprint) }
    return found
  }

  private static func isBundled(_ mid: String, in session: SessionDescription) -> Bool {
    for group in session.attributes.values("group") {
      let tags = words(Array(group.utf8)[...])
      if tags.first == "BUNDLE", tags.dropFirst().contains(mid) { return true }
    }
    return false
  }

  /// RFC 8842 §4: `20*255(ALPHA / DIGIT / "+" / "/" / "-" / "_")`.
  private static func isTLSID(_ text: String) -> Bool {
    guard (20...255).contains(text.utf8.count) else { return false }
    for byte in text.utf8 {
      guard
        ASCII.isAlpha(byte) || ASCII.isDigit(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "/")
          || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
      else { return false }
    }
    return true
  }
}

extension SDPCandidate {
  /// The candidates this program can use, in order, at most ``SDPLimits/candidates``; component 1 only,
  /// since a data channel has no other.
  static func usable(in attributes: [SessionDescription.Attribute]) -> [SDPCandidate] {
    var found: [SDPCandidate] = []
    for attribute in attributes where attribute.name == "candidate" {
      guard found.count < SDPLimits.candidates else { break }
      if let candidate = try? SDPCandidate(attribute.value ?? ""), candidate.component == 1 { found.append(candidate) }
    }
    return found
  }
}
