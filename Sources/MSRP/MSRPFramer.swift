import EdgeCore

/// Cuts a byte stream, or the messages of a data channel, into MSRP messages (RFC 4975 §5.1, §7.1).
///
///     append(bytes) ──▶ buffer ──▶ next() ──▶ head, body, body, ..., end
///
/// A body of any length passes through in pieces, so that what is buffered never depends on it. Any split of the
/// stream gives the same heads, bytes and ends. After ``append(_:)``, call ``next()`` until it returns `nil`. A thrown
/// ``FramingError`` means that the next message can no longer be found: close the connection.
public struct MSRPFramer: Sendable {
  public enum Item: Hashable, Sendable {
    /// `hasBody` says whether ``body`` items may follow before ``end``.
    case head(MSRPHead, hasBody: Bool)
    /// The next bytes of the body, at least one.
    case body([UInt8])
    case end(MSRPFlag)
  }

  public enum FramingError: Error, Hashable, Sendable {
    /// Not the beginning of any MSRP message.
    case notMSRP
    /// Without both paths nobody can be answered.
    case noPath
    /// The head is longer than ``MSRPLimits/headBytes``, or a body longer than its method allows.
    case tooLarge
  }

  private var buffer: [UInt8] = []
  /// Bytes of `buffer` already given out.
  private var start = 0
  /// The head's lines found so far, and where the next begins.
  private var lineStart = 0
  /// Where the search for that line's end goes on, so that it never looks twice at a byte.
  private var scanned = 0
  private var lines: [Range<Int>] = []
  private var body: Body?
  /// The end-line came directly behind the head.
  private var pendingEnd: MSRPFlag?
  private var failure: FramingError?

  private struct Body {
    /// `-------tid`.
    var boundary: [UInt8]
    var isAtStart = true
    /// Bytes given out, for methods whose bodies are bounded.
    var count = 0
    var maximum: Int
  }

  public init() {}

  /// Whether a message has begun and not ended: the owner of a stream puts a deadline on that, and on a data channel,
  /// where each message of the channel holds whole messages of MSRP, it is the peer's error.
  public var isInsideMessage: Bool { body != nil || start < buffer.count }

  public mutating func append(_ bytes: RawSpan) {
    if start > 0 {
      buffer.removeFirst(start)
      lineStart -= start
      scanned = max(0, scanned - start)
      for index in lines.indices { lines[index] = lines[index].lowerBound - start..<lines[index].upperBound - start }
      start = 0
    }
    unsafe bytes.withUnsafeBytes { unsafe buffer.append(contentsOf: $0) }
  }

  public mutating func append(_ bytes: [UInt8]) {
    let span = bytes.span
    unsafe append(span.bytes)
  }

  public mutating func next() throws(FramingError) -> Item? {
    if let failure { throw failure }
    do throws(FramingError) {
      return try take()
    } catch {
      failure = error
      buffer = []
      start = 0
      throw error
    }
  }

  private mutating func take() throws(FramingError) -> Item? {
    if let flag = pendingEnd {
      pendingEnd = nil
      return .end(flag)
    }
    return body == nil ? try takeHead() : try takeBody()
  }

  private mutating func takeHead() throws(FramingError) -> Item? {
    while true {
      guard let newline = buffer[max(lineStart, scanned)...].firstIndex(of: 0x0A) else {
        scanned = buffer.count
        guard buffer.count - start <= MSRPLimits.headBytes else { throw .tooLarge }
        // Tells TLS or HTTP on this port at once.
        guard !lines.isEmpty || isPrefixOfStart else { throw .notMSRP }
        return nil
      }
      guard newline - start < MSRPLimits.headBytes, lines.count <= MSRPLimits.fields else { throw .tooLarge }
      guard newline > lineStart, buffer[newline - 1] == 0x0D else { throw .notMSRP }
      let line = lineStart..<newline - 1
      lineStart = newline + 1
      if lines.isEmpty {
        // Between messages, line ends keep a connection open and mean nothing.
        guard !line.isEmpty else {
          skip(to: lineStart)
          continue
        }
        guard MSRPHead.startLine(buffer[line]) != nil else { throw .notMSRP }
      } else if line.isEmpty {
        return try finishHead(flag: nil)
      } else if let flag = endFlag(line) {
        return try finishHead(flag: flag)
      }
      lines.append(line)
    }
  }

  private var isPrefixOfStart: Bool {
    let wanted = Array("MSRP ".utf8)
    for (index, byte) in buffer[start...].prefix(wanted.count).enumerated() {
      if byte == 0x0D || byte == 0x0A { return true }
      if byte != wanted[index] { return false }
    }
    return true
  }

  /// The line is the end-line of the message whose start line was read.
  private func endFlag(_ line: Range<Int>) -> MSRPFlag? {
    guard line.count >= 12, buffer[line.lowerBound] == 0x2D, let flag = MSRPFlag(rawValue: buffer[line.upperBound - 1]),
      let (id, _) = MSRPHead.startLine(buffer[lines[0]]),
      buffer[line.lowerBound..<line.upperBound - 1].elementsEqual(Self.boundary(id))
    else { return nil }
    return flag
  }

  private static func boundary(_ transactionID: String) -> [UInt8] {
    [UInt8](repeating: 0x2D, count: 7) + Array(transactionID.utf8)
  }

  private mutating func finishHead(flag: MSRPFlag?) throws(FramingError) -> Item? {
    let head = try MSRPHead(lines: lines.map { buffer[$0] })
    lines = []
    skip(to: lineStart)
    pendingEnd = flag
    guard flag == nil else { return .head(head, hasBody: false) }
    // RFC 4975 §9: a response has no content.
    guard head.responseCode == nil else { throw .notMSRP }
    body = Body(
      boundary: Self.boundary(head.transactionID),
      maximum: head.method == "SEND" ? Int.max : MSRPLimits.reportBodyBytes)
    return .head(head, hasBody: true)
  }

  private mutating func takeBody() throws(FramingError) -> Item? {
    guard let body else { return nil }
    let boundary = body.boundary
    // CRLF, the boundary, its flag, CRLF.
    let longest = boundary.count + 5
    if let (dataEnd, flag, next) = findEnd(body) {
      guard dataEnd == start else { return try give(upTo: dataEnd) }
      self.body = nil
      skip(to: next)
      return .end(flag)
    }
    // What could still be the beginning of an end-line waits for its rest.
    let safe = buffer.count - longest
    guard safe > start else { return nil }
    return try give(upTo: safe)
  }

  private mutating func give(upTo end: Int) throws(FramingError) -> Item? {
    let piece = Array(buffer[start..<end])
    body?.isAtStart = false
    body?.count &+= piece.count
    if let body, body.count > body.maximum { throw .tooLarge }
    skip(to: end)
    return .body(piece)
  }

  /// Where the body's bytes end, the flag, and where the next message begins.
  ///
  /// Looks at every seventh byte only: none of a run of seven hyphens can be jumped over (RFC 4975 §7.3.1).
  private func findEnd(_ body: Body) -> (Int, MSRPFlag, Int)? {
    let boundary = body.boundary
    var probe = start + 6
    while probe < buffer.count {
      guard buffer[probe] == 0x2D else {
        probe += 7
        continue
      }
      var first = probe
      while first > start, buffer[first - 1] == 0x2D { first -= 1 }
      let flagAt = first + boundary.count
      if flagAt + 2 < buffer.count, let flag = MSRPFlag(rawValue: buffer[flagAt]), buffer[flagAt + 1] == 0x0D,
        buffer[flagAt + 2] == 0x0A, buffer[first..<flagAt].elementsEqual(boundary)
      {
        if first >= start + 2, buffer[first - 2] == 0x0D, buffer[first - 1] == 0x0A {
          return (first - 2, flag, flagAt + 3)
        }
        // Some leave out the line end behind an empty body.
        if first == start, body.isAtStart { return (first, flag, flagAt + 3) }
      }
      probe += 7
    }
    return nil
  }

  private mutating func skip(to index: Int) {
    start = index
    lineStart = index
    scanned = index
    if start == buffer.count {
      // An idle connection keeps no buffer of the longest piece it ever saw.
      buffer.removeAll(keepingCapacity: buffer.capacity <= 4096)
      start = 0
      lineStart = 0
      scanned = 0
    }
  }
}
