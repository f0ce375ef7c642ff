import EdgeCore

extension Message {
  /// How the transport delimits messages.
  public enum Framing: Hashable, Sendable {
    /// RFC 3261 §18.3: without Content-Length the body runs to the end of the datagram, bytes
    /// beyond Content-Length are discarded, and fewer are an error.
    case datagram
    /// Exactly one message as ``StreamFramer`` cut it out; Content-Length must be there.
    case stream
  }

  /// Parses one message in time linear in its size.
  ///
  /// - Throws: ``MessageError/malformed(_:offset:)`` for what is to be dropped,
  ///   ``MessageError/refused(_:)`` for a request that is to be answered with an error.
  public init(parsing span: RawSpan, framing: Framing = .datagram) throws(MessageError) {
    guard span.byteCount <= Limits.messageBytes else {
      throw .malformed(.tooLarge, offset: Limits.messageBytes)
    }
    try self.init(parsing: [UInt8](copying: span), framing: framing)
  }

  public init(parsing bytes: [UInt8], framing: Framing = .datagram) throws(MessageError) {
    guard bytes.count <= Limits.messageBytes else {
      throw .malformed(.tooLarge, offset: Limits.messageBytes)
    }
    var parser = HeadParser(bytes)
    let start = try parser.startLine()
    var refusal = start.refusal
    var message = Message(start.line)
    var lengths: [String] = []
    while let header = try parser.header() {
      if header.name == .contentLength {
        lengths.append(header.value)
      } else {
        try parser.add(header, to: &message)
      }
    }
    if !parser.sawEmptyLine {
      // RFC 3261 §7: "the empty line MUST be present even if the message-body is not."
      guard framing == .datagram else { throw .malformed(.truncated, offset: bytes.count) }
      refusal = refusal ?? 400
    }
    let rest = bytes[parser.offset...]
    if let length = try Self.bodyLength(lengths, available: rest.count, framing) {
      message.body = Array(rest.prefix(length))
    } else {
      refusal = refusal ?? 400
    }
    if let status = refusal ?? message.defect {
      guard message.isRequest else { throw .malformed(.badResponse(status), offset: 0) }
      throw .refused(Refusal(status: status, request: message))
    }
    self = message
  }

  /// `nil` when the values are no length, or not of this datagram.
  private static func bodyLength(
    _ values: [String], available: Int, _ framing: Framing
  ) throws(MessageError) -> Int? {
    switch framing {
    case .datagram:
      guard !values.isEmpty else { return available }
      guard values.count == 1, let length = ASCII.decimal(values[0], max: UInt64(Limits.messageBytes)),
        length <= available
      else { return nil }
      return Int(length)
    case .stream:
      guard values.count == 1, let length = ASCII.decimal(values[0], max: UInt64(Limits.messageBytes)),
        length == available
      else { throw .malformed(.contentLength, offset: 0) }
      return Int(length)
    }
  }

  /// What keeps a message from being processed whatever it asks for (RFC 3261 §8.1.1, §16.3 step 1).
  private var defect: StatusCode? {
    guard let method, isSingle(.to), isSingle(.from), isSingle(.callID), isSingle(.cseq), to != nil, from != nil,
      let callID, !callID.isEmpty, let cseq
    else { return 400 }
    // RFC 3261 §8.1.1.5: "The method MUST match that of the request."
    guard cseq.method == method else { return 400 }
    guard values(.maxForwards).count <= 1 else { return 400 }
    let vias = values(.via)
    guard vias.count <= Limits.vias else { return 483 }
    guard let topVia, vias.dropFirst().allSatisfy({ Via($0) != nil }) else { return 400 }
    // RFC 3261 §8.1.1.7: the cookie alone names no transaction.
    if topVia.branch == Via.magicCookie { return 400 }
    guard contactList != nil else { return 400 }
    // RFC 3261 §19.1.1: header components are not allowed in a Request-URI.
    guard requestURI?.headers == nil else { return 400 }
    return nil
  }

  private func isSingle(_ name: HeaderName) -> Bool {
    headers.reduce(0) { $0 + ($1.name == name ? 1 : 0) } == 1
  }
}

/// Walks the lines of a message head.
struct HeadParser {
  private let bytes: [UInt8]
  private(set) var offset = 0
  private(set) var sawEmptyLine = false

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// The start line. A refusal means that it is a request, and no good one.
  mutating func startLine() throws(MessageError) -> (line: Message.StartLine, refusal: StatusCode?) {
    // RFC 3261 §7.5: "Implementations processing SIP messages over stream-oriented transports
    // MUST ignore any CRLF appearing before the start-line"; datagrams are given the same.
    while offset + 1 < bytes.count, bytes[offset] == 0x0D, bytes[offset + 1] == 0x0A { offset += 2 }
    guard offset < bytes.count else { throw .malformed(.empty, offset: offset) }
    let start = offset
    let line = try self.line()
    guard line.starts(with: "SIP/".utf8) else { return try requestLine(line, at: start) }
    return (try statusLine(line, at: start), nil)
  }

  /// `SIP-Version SP Status-Code SP Reason-Phrase`; the second space may be missing.
  private func statusLine(_ line: ArraySlice<UInt8>, at start: Int) throws(MessageError) -> Message.StartLine {
    let version = Array("SIP/2.0 ".utf8)
    guard line.starts(with: version) else { throw .malformed(.version, offset: start) }
    let rest = line.dropFirst(version.count)
    let digits = rest.prefix { $0 != 0x20 }
    guard digits.count == 3, let status = ASCII.decimal(digits, max: 699), status >= 100 else {
      throw .malformed(.statusCode, offset: rest.startIndex)
    }
    return .response(StatusCode(Int(status)), reason: try text(rest.dropFirst(4)))
  }

  /// `Method SP Request-URI SP SIP-Version`
  private func requestLine(
    _ line: ArraySlice<UInt8>, at start: Int
  ) throws(MessageError) -> (line: Message.StartLine, refusal: StatusCode?) {
    let name = line.prefix(while: ASCII.isToken)
    var rest = line[name.endIndex...]
    guard !name.isEmpty, rest.first == 0x20 else { throw .malformed(.startLine, offset: start) }
    rest.removeFirst()
    var refusal: StatusCode?
    while rest.last == 0x20 {
      rest.removeLast()
      refusal = 400
    }
    guard let space = rest.lastIndex(of: 0x20) else { throw .malformed(.startLine, offset: start) }
    let version = rest[(space + 1)...]
    guard version.count >= 7, version.starts(with: "SIP/".utf8) else { throw .malformed(.version, offset: space + 1) }
    let numbers = version.dropFirst(4).split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard numbers.count == 2, numbers.allSatisfy({ !$0.isEmpty && $0.allSatisfy(ASCII.isDigit) }) else {
      throw .malformed(.version, offset: space + 1)
    }
    if !version.elementsEqual("SIP/2.0".utf8) { refusal = 505 }
    let target = rest[..<space]
    let method = Method(String(decoding: name, as: UTF8.self))
    if target.count > Limits.uriBytes { return (.request(method, .unusable), refusal ?? 414) }
    guard let uri = URI(ascii: target) else { return (.request(method, .unusable), refusal ?? 400) }
    return (.request(method, uri), refusal)
  }

  /// The next header field, unfolded; `nil` after the empty line or at the end of the input.
  mutating func header() throws(MessageError) -> Header? {
    guard offset < bytes.count else { return nil }
    let start = offset
    let line = try self.line()
    if line.isEmpty {
      sawEmptyLine = true
      return nil
    }
    let name = line.prefix(while: ASCII.isToken)
    var rest = line[name.endIndex...]
    // `X-Name : value` is the field X-Name, for every reader alike.
    while let first = rest.first, first == 0x20 || first == 0x09 { rest.removeFirst() }
    guard !name.isEmpty, rest.first == UInt8(ascii: ":") else { throw .malformed(.headerName, offset: start) }
    rest.removeFirst()
    let value = try unfolded(rest)
    guard value.count <= Limits.fieldBytes else { throw .malformed(.tooLarge, offset: start) }
    return Header(HeaderName(String(decoding: name, as: UTF8.self)), try text(CommaList.trimmed(value)))
  }

  /// Adds a field, one per value where ``HeaderName/isTakenApart``.
  func add(_ header: Header, to message: inout Message) throws(MessageError) {
    if header.name.isTakenApart, header.value.utf8.contains(UInt8(ascii: ",")),
      let values = CommaList.split(Array(header.value.utf8)[...])
    {
      for value in values { message.append(header.name, String(decoding: value, as: UTF8.self)) }
    } else {
      message.headers.append(header)
    }
    guard message.headers.count <= Limits.fields else { throw .malformed(.tooLarge, offset: offset) }
  }

  /// A value with its continuation lines, each fold being one space (RFC 3261 §7.3.1).
  private mutating func unfolded(_ first: ArraySlice<UInt8>) throws(MessageError) -> ArraySlice<UInt8> {
    guard isFold else { return first }
    var value = Array(CommaList.trimmed(first))
    while isFold {
      let more = CommaList.trimmed(try line())
      guard value.count + more.count < Limits.fieldBytes else { throw .malformed(.tooLarge, offset: offset) }
      value.append(0x20)
      value += more
    }
    return value[...]
  }

  private var isFold: Bool { offset < bytes.count && (bytes[offset] == 0x20 || bytes[offset] == 0x09) }

  /// The bytes up to the next CRLF, which is consumed.
  private mutating func line() throws(MessageError) -> ArraySlice<UInt8> {
    let start = offset
    var index = offset
    while index < bytes.count {
      let byte = bytes[index]
      if byte == 0x0D {
        guard index + 1 < bytes.count else { throw .malformed(.truncated, offset: index) }
        guard bytes[index + 1] == 0x0A else { throw .malformed(.bareLineEnd, offset: index) }
        offset = index + 2
        guard offset <= Limits.headBytes else { throw .malformed(.tooLarge, offset: index) }
        return bytes[start..<index]
      }
      guard byte != 0x0A else { throw .malformed(.bareLineEnd, offset: index) }
      index += 1
    }
    throw .malformed(.truncated, offset: index)
  }

  private func text(_ bytes: ArraySlice<UInt8>) throws(MessageError) -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw .malformed(.notUTF8, offset: bytes.startIndex)
    }
    return text
  }
}
