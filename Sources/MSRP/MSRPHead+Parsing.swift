import EdgeCore

extension MSRPHead {
  /// Reads the lines before the body or the end-line; none holds its CRLF.
  init(lines: [ArraySlice<UInt8>]) throws(MSRPFramer.FramingError) {
    guard lines.count >= 3, lines.count <= MSRPLimits.fields, let (id, kind) = Self.startLine(lines[0]) else {
      throw .notMSRP
    }
    // RFC 4975 §9: `headers = To-Path CRLF From-Path CRLF 1*( header CRLF )`.
    guard let (toName, toValue) = Self.field(lines[1]), ASCII.equalIgnoringCase(toName, "To-Path"),
      let (fromName, fromValue) = Self.field(lines[2]), ASCII.equalIgnoringCase(fromName, "From-Path"),
      let toPath = MSRPURI.path(ascii: toValue), let fromPath = MSRPURI.path(ascii: fromValue)
    else { throw .noPath }
    self.init(transactionID: id, kind: kind, toPath: toPath, fromPath: fromPath)
    for line in lines[3...] {
      guard let (name, bytes) = Self.field(line), UTF8Text.isValid(bytes) else {
        isIntelligible = false
        continue
      }
      take(name, String(decoding: bytes, as: UTF8.self))
    }
  }

  private mutating func take(_ name: String, _ value: String) {
    switch ASCII.lowercased(name) {
    case "message-id":
      guard messageID == nil, Self.isIdentifier(Array(value.utf8)[...]) else { return isIntelligible = false }
      messageID = value
    case "success-report":
      switch value {
      case "yes": wantsSuccessReport = true
      case "no": break
      default: isIntelligible = false
      }
    case "failure-report":
      switch value {
      case "yes": break
      case "no": failureReport = .no
      case "partial": failureReport = .partial
      default: isIntelligible = false
      }
    case "byte-range":
      guard byteRange == nil, let range = MSRPByteRange(value) else { return isIntelligible = false }
      byteRange = range
    case "status":
      // `namespace SP status-code [SP comment]`; other namespaces mean nothing here.
      let words = Array(value.utf8).split(separator: 0x20, maxSplits: 2)
      guard words.count >= 2, words[0].count == 3, let code = Self.statusCode(words[1]) else {
        return isIntelligible = false
      }
      if words[0].elementsEqual("000".utf8) { reportedStatus = code }
    case "content-type":
      guard contentType == nil, value.utf8.contains(UInt8(ascii: "/")) else { return isIntelligible = false }
      contentType = value
    case "to-path", "from-path": isIntelligible = false
    default: fields.append(Field(name, value))
    }
  }

  /// `MSRP SP transact-id SP (method / status-code [SP comment])`
  static func startLine(_ line: ArraySlice<UInt8>) -> (String, Kind)? {
    let words = line.split(separator: 0x20, maxSplits: 3, omittingEmptySubsequences: false)
    guard words.count >= 3, words[0].elementsEqual("MSRP".utf8), isIdentifier(words[1]) else { return nil }
    let id = String(decoding: words[1], as: UTF8.self)
    if let code = statusCode(words[2]) {
      guard words.count == 3 || UTF8Text.isValid(words[3]) else { return nil }
      return (id, .response(code, comment: words.count == 4 ? String(decoding: words[3], as: UTF8.self) : ""))
    }
    guard words.count == 3, (1...32).contains(words[2].count),
      words[2].allSatisfy({ ASCII.isAlpha($0) && $0 < 0x60 })
    else { return nil }
    return (id, .request(String(decoding: words[2], as: UTF8.self)))
  }

  private static func statusCode(_ digits: ArraySlice<UInt8>) -> Int? {
    guard digits.count == 3, let code = ASCII.decimal(digits, max: 999), code >= 100 else { return nil }
    return Int(code)
  }

  /// `hname ":" SP hval`: no folding, no white space before the colon, no control characters.
  private static func field(_ line: ArraySlice<UInt8>) -> (String, ArraySlice<UInt8>)? {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex, colon - line.startIndex <= 64,
      line[..<colon].allSatisfy({ ASCII.isAlpha($0) || ASCII.isDigit($0) || $0 == UInt8(ascii: "-") })
    else { return nil }
    var value = line[(colon + 1)...]
    while value.first == 0x20 { value = value.dropFirst() }
    while value.last == 0x20 { value = value.dropLast() }
    guard !value.contains(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F }) else { return nil }
    return (String(decoding: line[..<colon], as: UTF8.self), value)
  }

  /// `ident = ALPHANUM 3*31ident-char`
  static func isIdentifier(_ bytes: ArraySlice<UInt8>) -> Bool {
    guard MSRPLimits.identifier.contains(bytes.count), let first = bytes.first,
      ASCII.isAlpha(first) || ASCII.isDigit(first)
    else { return false }
    return bytes.allSatisfy { byte in
      if ASCII.isAlpha(byte) || ASCII.isDigit(byte) { return true }
      switch byte {
      case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "%"), UInt8(ascii: "="): return true
      default: return false
      }
    }
  }
}
