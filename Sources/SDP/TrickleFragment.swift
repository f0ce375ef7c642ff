/// Candidates that follow an offer or answer: an `application/trickle-ice-sdpfrag` body (RFC 8840 §9).
///
/// The receiver drops a fragment whose credentials are not those of the current generation
/// (RFC 8838 §9), and keeps only the section of its own `mid`.
public struct TrickleFragment: Hashable, Sendable {
  public static let contentType = "application/trickle-ice-sdpfrag"

  /// What a pseudo `m=` line introduces.
  public struct Section: Hashable, Sendable {
    public var mid: String
    public var iceUfrag: String
    public var icePassword: String
    public var candidates: [SDPCandidate]
    public var endOfCandidates: Bool

    public init(
      mid: String, iceUfrag: String, icePassword: String, candidates: [SDPCandidate], endOfCandidates: Bool = false
    ) {
      self.mid = mid
      self.iceUfrag = iceUfrag
      self.icePassword = icePassword
      self.candidates = candidates
      self.endOfCandidates = endOfCandidates
    }
  }

  public var sections: [Section]

  public init(sections: [Section]) { self.sections = sections }

  /// The section of this `mid`; `nil` if the fragment is about others.
  public func section(mid: String) -> Section? { sections.first { $0.mid == mid } }
}

extension TrickleFragment {
  public var serialized: String {
    var writer = LineWriter()
    for section in sections {
      // RFC 8840 §9.1: the pseudo m= line repeats media, port 9 and format; its values are not used.
      writer.line(
        UInt8(ascii: "m"), "application 9 \(DataChannelDescription.transport) \(DataChannelDescription.format)")
      writer.line(UInt8(ascii: "a"), "mid:" + section.mid)
      // RFC 8840 §9.2: at the level they had in the offer or answer, which is the section's.
      writer.line(UInt8(ascii: "a"), "ice-ufrag:" + section.iceUfrag)
      writer.line(UInt8(ascii: "a"), "ice-pwd:" + section.icePassword)
      for candidate in section.candidates { writer.line(UInt8(ascii: "a"), "candidate:" + candidate.serialized) }
      if section.endOfCandidates { writer.line(UInt8(ascii: "a"), "end-of-candidates") }
    }
    return writer.text
  }

  public init(_ text: String) throws(SDPError) {
    let bytes = Array(text.utf8)
    unsafe try self.init(parsing: bytes.span.bytes)
  }

  /// Credentials may stand at either level; a session-level `end-of-candidates` holds for every section.
  public init(parsing bytes: RawSpan) throws(SDPError) {
    var levels: [[SessionDescription.Attribute]] = [[]]
    for line in try splitLines(bytes) {
      switch line.type {
      case UInt8(ascii: "m"):
        guard levels.count <= SDPLimits.media else { throw .tooLarge(.media) }
        levels.append([])
      case UInt8(ascii: "a"):
        let attribute = try SessionDescription.Attribute(line)
        levels[levels.count - 1].append(attribute)
      default:
        // RFC 8840 §9.2 has only a= and m= lines.
        throw .malformed(.attribute, line: line.number)
      }
    }
    let session = levels[0]
    sections = []
    for media in levels.dropFirst() {
      func value(_ name: String) -> String? { media.firstValue(name) ?? session.firstValue(name) }
      guard let mid = media.firstValue("mid") else { throw .missing(.mid) }
      guard Grammar.isToken(mid) else { throw .invalid(.mid) }
      guard let ufrag = value("ice-ufrag") else { throw .missing(.iceUfrag) }
      guard Grammar.isICEText(ufrag, 4...256) else { throw .invalid(.iceUfrag) }
      guard let password = value("ice-pwd") else { throw .missing(.icePassword) }
      guard Grammar.isICEText(password, 22...256) else { throw .invalid(.icePassword) }
      sections.append(
        Section(
          mid: mid, iceUfrag: ufrag, icePassword: password, candidates: SDPCandidate.usable(in: media),
          endOfCandidates: value("end-of-candidates") != nil))
    }
  }
}
