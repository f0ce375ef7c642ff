internal import EdgeCore

/// A session description (RFC 8866), with everything it said kept: lines and attributes this
/// program has no use for are carried along in order.
///
/// `SessionDescription(parsing: x.serialized)` equals `x` for every `x` that came from parsing.
public struct SessionDescription: Hashable, Sendable {
  /// The `o=` line (RFC 8866 §5.2).
  public struct Origin: Hashable, Sendable {
    public var username = "-"
    /// Decimal digits: together with the other fields unique in the world.
    public var sessionID: String
    /// Increased by one with every change of the description.
    public var sessionVersion: UInt64
    public var networkType = "IN"
    public var addressType = "IP4"
    public var address = "0.0.0.0"

    public init(sessionID: String, sessionVersion: UInt64) {
      self.sessionID = sessionID
      self.sessionVersion = sessionVersion
    }
  }

  /// A `c=` line (RFC 8866 §5.7). The address may be a name.
  public struct Connection: Hashable, Sendable {
    public var networkType = "IN"
    public var addressType: String
    public var address: String

    public init(addressType: String, address: String) {
      self.addressType = addressType
      self.address = address
    }
  }

  /// A line kept as it came: `i`, `u`, `e`, `p`, `b`, `t`, `r`, `z`, `k`, and types nobody has defined.
  public struct Line: Hashable, Sendable {
    /// An ASCII letter.
    public var type: UInt8
    public var value: String

    public init(type: UInt8, value: String) {
      self.type = type
      self.value = value
    }
  }

  /// An `a=` line: `a=name` or `a=name:value`.
  public struct Attribute: Hashable, Sendable {
    public var name: String
    public var value: String?

    public init(_ name: String, _ value: String? = nil) {
      self.name = name
      self.value = value
    }
  }

  /// An `m=` line and what follows it (RFC 8866 §5.14).
  public struct Media: Hashable, Sendable {
    /// `application`, `audio`, `video`, ...
    public var kind: String
    /// 0: the section is refused or unused. 9: the address is not known yet (RFC 8840 §4.1.1).
    public var port: UInt16
    /// The number of ports of `port/n`.
    public var portCount = 1
    /// `UDP/DTLS/SCTP`, ...
    public var transport: String
    public var formats: [String]
    public var connection: Connection?
    public var lines: [Line] = []
    public var attributes: [Attribute] = []

    public init(kind: String, port: UInt16, transport: String, formats: [String]) {
      self.kind = kind
      self.port = port
      self.transport = transport
      self.formats = formats
    }

    /// The value of the first attribute of this name; "" for one without a value.
    public func attribute(_ name: String) -> String? { attributes.firstValue(name) }
  }

  public var origin: Origin
  public var name = "-"
  public var connection: Connection?
  public var lines: [Line] = [Line(type: UInt8(ascii: "t"), value: "0 0")]
  public var attributes: [Attribute] = []
  public var media: [Media] = []

  public init(origin: Origin) { self.origin = origin }

  /// The value of the first session-level attribute of this name; "" for one without a value.
  public func attribute(_ name: String) -> String? { attributes.firstValue(name) }
}

extension [SessionDescription.Attribute] {
  func firstValue(_ name: String) -> String? {
    for attribute in self where attribute.name == name { return attribute.value ?? "" }
    return nil
  }

  func values(_ name: String) -> [String] {
    var values: [String] = []
    for attribute in self where attribute.name == name { values.append(attribute.value ?? "") }
    return values
  }
}

// MARK: Writing

extension SessionDescription {
  /// The text, lines in the order of RFC 8866 §5, each ended by CRLF.
  public var serialized: String {
    var writer = LineWriter()
    writer.line(UInt8(ascii: "v"), "0")
    writer.line(
      UInt8(ascii: "o"),
      "\(origin.username) \(origin.sessionID) \(origin.sessionVersion) \(origin.networkType) "
        + "\(origin.addressType) \(origin.address)")
    writer.line(UInt8(ascii: "s"), name)
    write(lines, connection, attributes, into: &writer)
    for section in media {
      let count = section.portCount == 1 ? "" : "/\(section.portCount)"
      var value = "\(section.kind) \(section.port)\(count) \(section.transport)"
      for format in section.formats { value += " " + format }
      writer.line(UInt8(ascii: "m"), value)
      write(section.lines, section.connection, section.attributes, into: &writer)
    }
    return writer.text
  }

  private func write(
    _ lines: [Line], _ connection: Connection?, _ attributes: [Attribute], into writer: inout LineWriter
  ) {
    for line in lines where line.isBeforeConnection { writer.line(line.type, line.value) }
    if let connection {
      writer.line(
        UInt8(ascii: "c"), "\(connection.networkType) \(connection.addressType) \(connection.address)")
    }
    for line in lines where !line.isBeforeConnection { writer.line(line.type, line.value) }
    for attribute in attributes {
      writer.line(UInt8(ascii: "a"), attribute.value.map { "\(attribute.name):\($0)" } ?? attribute.name)
    }
  }
}

extension SessionDescription.Line {
  /// RFC 8866 §5: `i=`, `u=`, `e=` and `p=` come before `c=`, the others after it.
  fileprivate var isBeforeConnection: Bool {
    switch type {
    case UInt8(ascii: "i"), UInt8(ascii: "u"), UInt8(ascii: "e"), UInt8(ascii: "p"): true
    default: false
    }
  }
}

// MARK: Parsing

extension SessionDescription {
  public init(_ text: String) throws(SDPError) {
    let bytes = Array(text.utf8)
    unsafe try self.init(parsing: bytes.span.bytes)
  }

  public init(parsing bytes: RawSpan) throws(SDPError) {
    let lines = try splitLines(bytes)
    // RFC 8866 §5: v=, o= and s= come first, in this order, once.
    guard lines.count >= 3, lines[0].type == UInt8(ascii: "v"), lines[0].text == "0" else {
      throw .malformed(.version, line: 1)
    }
    guard lines[1].type == UInt8(ascii: "o") else { throw .malformed(.origin, line: 2) }
    guard lines[2].type == UInt8(ascii: "s") else { throw .malformed(.sessionName, line: 3) }
    self.init(origin: try Origin(lines[1]))
    name = lines[2].text
    self.lines = []
    for line in lines[3...] { try take(line) }
    // Kept sorted the way it is written, so that writing and parsing again gives the same value.
    self.lines.sortForWriting()
    for index in media.indices { media[index].lines.sortForWriting() }
    // RFC 8866 §5.9: t= is mandatory; "0 0" is what its absence means.
    if !self.lines.contains(where: { $0.type == UInt8(ascii: "t") }) {
      self.lines.append(Line(type: UInt8(ascii: "t"), value: "0 0"))
    }
  }

  private mutating func take(_ line: RawLine) throws(SDPError) {
    let section = media.indices.last
    switch line.type {
    case UInt8(ascii: "v"), UInt8(ascii: "o"), UInt8(ascii: "s"):
      throw .malformed(.order, line: line.number)
    case UInt8(ascii: "m"):
      guard media.count < SDPLimits.media else { throw .tooLarge(.media) }
      media.append(try Media(line))
    case UInt8(ascii: "c"):
      let parsed = try Connection(line)
      if let section {
        // RFC 8866 §5.7: several c= lines are for hierarchical multicast, which we carry and do not use.
        if media[section].connection == nil {
          media[section].connection = parsed
        } else {
          media[section].lines.append(Line(type: line.type, value: line.text))
        }
      } else {
        guard connection == nil else { throw .malformed(.order, line: line.number) }
        connection = parsed
      }
    case UInt8(ascii: "a"):
      let attribute = try Attribute(line)
      if let section { media[section].attributes.append(attribute) } else { attributes.append(attribute) }
    default:
      let kept = Line(type: line.type, value: line.text)
      if let section { media[section].lines.append(kept) } else { lines.append(kept) }
    }
  }
}

extension [SessionDescription.Line] {
  fileprivate mutating func sortForWriting() {
    self = filter { $0.isBeforeConnection } + filter { !$0.isBeforeConnection }
  }
}

extension SessionDescription.Origin {
  fileprivate init(_ line: RawLine) throws(SDPError) {
    let fields = words(line.value)
    guard fields.count == 6, (1...40).contains(fields[1].utf8.count), fields[1].utf8.allSatisfy({ ASCII.isDigit($0) }),
      let version = ASCII.decimal(fields[2], max: .max)
    else { throw .malformed(.origin, line: line.number) }
    self.init(sessionID: fields[1], sessionVersion: version)
    username = fields[0]
    networkType = fields[3]
    addressType = fields[4]
    address = fields[5]
  }
}

extension SessionDescription.Connection {
  fileprivate init(_ line: RawLine) throws(SDPError) {
    let fields = words(line.value)
    guard fields.count == 3 else { throw .malformed(.connection, line: line.number) }
    self.init(addressType: fields[1], address: fields[2])
    networkType = fields[0]
  }
}

extension SessionDescription.Attribute {
  init(_ line: RawLine) throws(SDPError) {
    if let colon = line.value.firstIndex(of: UInt8(ascii: ":")) {
      self.init(
        String(decoding: line.value[..<colon], as: UTF8.self),
        String(decoding: line.value[(colon + 1)...], as: UTF8.self))
    } else {
      self.init(line.text)
    }
    guard !name.utf8.isEmpty else { throw .malformed(.attribute, line: line.number) }
  }
}

extension SessionDescription.Media {
  fileprivate init(_ line: RawLine) throws(SDPError) {
    let fields = words(line.value)
    // RFC 8866 §5.14: m=<media> <port>[/<number of ports>] <proto> <fmt> ...
    guard fields.count >= 4 else { throw .malformed(.mediaLine, line: line.number) }
    let digits = Array(fields[1].utf8)
    let slash = digits.firstIndex(of: UInt8(ascii: "/")) ?? digits.count
    guard let port = ASCII.decimal(digits[..<slash], max: 65_535) else {
      throw .malformed(.mediaLine, line: line.number)
    }
    self.init(kind: fields[0], port: UInt16(port), transport: fields[2], formats: Array(fields[3...]))
    if slash < digits.count {
      guard let count = ASCII.decimal(digits[(slash + 1)...], max: 65_535), count > 0 else {
        throw .malformed(.mediaLine, line: line.number)
      }
      portCount = Int(count)
    }
  }
}
