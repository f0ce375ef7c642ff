import EdgeCore

/// One message of a control channel (RFC 6230 §9): `CFW tid METHOD` or `CFW tid status`, fields, an empty line, a body.
public struct ControlFrame: Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    /// `SYNC`, `CONTROL` or `K-ALIVE`; others are answered 500.
    case request(String)
    case response(Int)
  }

  public var transactionID: String
  public var kind: Kind
  public var fields: [(name: String, value: String)] = []
  public var body: [UInt8] = []

  public init(_ transactionID: String, _ kind: Kind) {
    self.transactionID = transactionID
    self.kind = kind
  }

  /// The package of this program's requests (RFC 6230 §8).
  public static let package = "offline-messages/1.0"

  public static func control(_ transactionID: String, _ document: ControlDocument) -> ControlFrame {
    var frame = ControlFrame(transactionID, .request("CONTROL"))
    frame.fields = [("Control-Package", package)]
    frame.setBody(document)
    return frame
  }

  public mutating func setBody(_ document: ControlDocument) {
    fields.append(("Content-Type", ControlDocument.mediaType))
    body = Array(document.xml.utf8)
  }

  public func field(_ name: String) -> String? {
    fields.first { ASCII.equalIgnoringCase($0.name, name) }?.value
  }

  public var serialized: [UInt8] {
    var text = "CFW \(transactionID) "
    switch kind {
    case .request(let method): text += method
    case .response(let status): text += "\(status)"
    }
    for field in fields { text += "\r\n\(field.name): \(field.value)" }
    if !body.isEmpty { text += "\r\nContent-Length: \(body.count)" }
    return Array((text + "\r\n\r\n").utf8) + body
  }

  public static func == (a: Self, b: Self) -> Bool { a.serialized == b.serialized }
  public func hash(into hasher: inout Hasher) { hasher.combine(transactionID) }
}

/// Cuts the byte stream of a control channel into frames.
public struct ControlFramer: Sendable {
  public struct Malformed: Error, Hashable, Sendable {}

  /// Of one frame, in bytes.
  public static let maximum = 65_536

  private var buffer: [UInt8] = []

  public init() {}

  public mutating func append(_ bytes: [UInt8]) { buffer += bytes }

  public mutating func next() throws(Malformed) -> ControlFrame? {
    guard let end = headEnd else {
      guard buffer.count <= Self.maximum else { throw Malformed() }
      return nil
    }
    var lines = String(decoding: buffer[..<end], as: UTF8.self).split(separator: "\r\n")
    guard !lines.isEmpty else { throw Malformed() }
    let start = lines.removeFirst().split(separator: " ")
    guard start.count == 3, start[0] == "CFW", (1...64).contains(start[1].utf8.count) else { throw Malformed() }
    let kind: ControlFrame.Kind
    if let status = Int(start[2]) {
      guard 100..<1000 ~= status else { throw Malformed() }
      kind = .response(status)
    } else {
      kind = .request(String(start[2]))
    }
    var frame = ControlFrame(String(start[1]), kind)
    var length = 0
    for line in lines {
      guard let colon = line.firstIndex(of: ":"), frame.fields.count < 32 else { throw Malformed() }
      let name = String(line[..<colon])
      let value = String(line[line.index(after: colon)...].drop { $0 == " " })
      if ASCII.equalIgnoringCase(name, "Content-Length") {
        guard let count = ASCII.decimal(value, max: UInt64(Self.maximum)) else { throw Malformed() }
        length = Int(count)
      } else {
        frame.fields.append((name, value))
      }
    }
    guard buffer.count >= end + length else {
      guard end + length <= Self.maximum else { throw Malformed() }
      return nil
    }
    frame.body = Array(buffer[end..<end + length])
    buffer.removeFirst(end + length)
    return frame
  }

  /// Just behind the first empty line.
  private var headEnd: Int? {
    var index = 0
    while index + 3 < buffer.count {
      if buffer[index] == 0x0D, buffer[index + 1] == 0x0A, buffer[index + 2] == 0x0D, buffer[index + 3] == 0x0A {
        return index + 4
      }
      index += 1
    }
    return nil
  }
}
