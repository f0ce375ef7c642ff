import EdgeCore

/// Cuts a byte stream into SIP messages and keep-alives (RFC 3261 §18.3, RFC 5626 §4.4.1).
///
///     append(bytes) ──▶ buffer ──▶ next() ──▶ message | refused | malformed | ping | pong
///
/// Any split of the stream gives the same items. After ``append(_:)``, call ``next()`` until it
/// returns `nil`. A thrown ``FramingError`` means that the beginning of the next message can no longer be
/// found: close the connection.
public struct StreamFramer: Sendable {
  /// Which end of the connection this is: a line end means different things to each.
  public enum Side: Hashable, Sendable {
    /// Opened the connection: it sends pings, and every single CRLF it gets is a pong.
    case client
    /// Accepted the connection: every double CRLF it gets is a ping.
    case server
  }

  public enum Item: Hashable, Sendable {
    case message(Message)
    /// Answer it.
    case refused(Refusal)
    /// Well framed and otherwise useless: drop it and count it.
    case malformed(Malformation)
    /// Answer it with one CRLF.
    case ping
    case pong
  }

  public enum FramingError: Error, Hashable, Sendable {
    /// The head is longer than ``Limits/headBytes``, or the message than ``Limits/messageBytes``.
    case tooLarge
    /// RFC 3261 §18.3: Content-Length "MUST be used with stream-oriented transports", once, as a number.
    case contentLength
    /// Not the beginning of any SIP message.
    case notSIP
  }

  private let side: Side
  private var buffer: [UInt8] = []
  /// Bytes of `buffer` already given out.
  private var start = 0
  /// Where the search for the end of the head goes on, so that it never looks twice at a byte.
  private var scanned = 0
  /// The whole message's length in bytes, once its head is complete.
  private var expected: Int?
  private var failure: FramingError?

  public init(side: Side) { self.side = side }

  /// Whether a message has begun and is not complete: the owner puts a deadline on that.
  public var isInsideMessage: Bool { start < buffer.count }

  /// Bytes held back, at most ``Limits/messageBytes`` after ``next()`` has returned `nil`.
  public var bufferedBytes: Int { buffer.count - start }

  public mutating func append(_ bytes: [UInt8]) {
    if start > 0 {
      buffer.removeFirst(start)
      scanned -= start
      start = 0
    }
    buffer += bytes
  }

  public mutating func append(_ bytes: RawSpan) { append([UInt8](copying: bytes)) }

  public mutating func next() throws(FramingError) -> Item? {
    if let failure { throw failure }
    do throws(FramingError) {
      return try take()
    } catch {
      failure = error
      buffer = []
      start = 0
      scanned = 0
      throw error
    }
  }

  private mutating func take() throws(FramingError) -> Item? {
    while expected == nil, start < buffer.count, buffer[start] == 0x0D {
      let wanted = side == .client ? 2 : 4
      guard start + 1 < buffer.count else { return nil }
      guard buffer[start + 1] == 0x0A else { throw .notSIP }
      if side == .client {
        skip(2)
        return .pong
      }
      guard start + 2 < buffer.count else { return nil }
      guard buffer[start + 2] == 0x0D else {
        // A lone line end in front of a message (RFC 3261 §7.5).
        skip(2)
        continue
      }
      guard start + wanted <= buffer.count else { return nil }
      guard buffer[start + 3] == 0x0A else { throw .notSIP }
      skip(wanted)
      return .ping
    }
    guard start < buffer.count else { return nil }
    // A method or "SIP/2.0": tell TLS, HTTP/2 or noise on this port apart at its first byte.
    guard expected != nil || ASCII.isToken(buffer[start]) else { throw .notSIP }
    if expected == nil {
      guard let headEnd = findHeadEnd() else {
        guard bufferedBytes <= Limits.headBytes else { throw .tooLarge }
        return nil
      }
      guard headEnd - start <= Limits.headBytes else { throw .tooLarge }
      let length = try contentLength(buffer[start..<headEnd])
      expected = headEnd - start + length
    }
    guard let total = expected, total <= Limits.messageBytes else { throw .tooLarge }
    guard bufferedBytes >= total else { return nil }
    let bytes = Array(buffer[start..<start + total])
    expected = nil
    skip(total)
    do throws(MessageError) {
      return .message(try Message(parsing: bytes, framing: .stream))
    } catch {
      switch error {
      case .malformed(let why, _): return .malformed(why)
      case .refused(let refusal): return .refused(refusal)
      }
    }
  }

  private mutating func skip(_ count: Int) {
    start += count
    if start == buffer.count {
      // An idle connection keeps no buffer of the longest message it ever saw.
      buffer.removeAll(keepingCapacity: buffer.capacity <= 2048)
      start = 0
    }
    scanned = start
  }

  /// Just behind the first empty line.
  private mutating func findHeadEnd() -> Int? {
    var index = max(scanned, start)
    while index + 3 < buffer.count {
      if buffer[index] == 0x0D, buffer[index + 1] == 0x0A, buffer[index + 2] == 0x0D, buffer[index + 3] == 0x0A {
        return index + 4
      }
      index += 1
    }
    scanned = index
    return nil
  }

  /// Reads the head with the parser that will read the message, so that both see the same header fields.
  private func contentLength(_ head: ArraySlice<UInt8>) throws(FramingError) -> Int {
    var parser = HeadParser(Array(head))
    var values: [String] = []
    do throws(MessageError) {
      _ = try parser.startLine()
      while let header = try parser.header() {
        if header.name == .contentLength { values.append(header.value) }
      }
    } catch {
      throw .notSIP
    }
    guard values.count == 1, let length = ASCII.decimal(values[0], max: UInt64(Limits.messageBytes)) else {
      throw .contentLength
    }
    return Int(length)
  }
}
