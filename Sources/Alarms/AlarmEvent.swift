internal import EdgeCore
public import StatusModel

/// Something a camera's owner wants to know of, as its journal has it and as it is sent.
public struct AlarmEvent: Hashable, Sendable {
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    case motion
    /// The camera gives no pictures.
    case lost
    /// The lens is covered.
    case tamper
  }

  public enum Phase: String, Hashable, Sendable { case begin, end }

  /// The same for begin and end, and for the picture; no other event of the serial has it.
  public var id: String
  public var kind: Kind
  public var phase: Phase
  public var serial: String
  /// What people call the camera; empty when that is its serial.
  public var name: String
  /// Unix time in microseconds: of a begin when the first picture that shows it was taken.
  public var microseconds: Int64
  /// Motions since the last message that none was sent of.
  public var suppressed: Int
  /// Why a camera is lost, in words; else empty.
  public var reason: String

  public init(
    id: String, kind: Kind, phase: Phase, serial: String, name: String = "", microseconds: Int64, suppressed: Int = 0,
    reason: String = ""
  ) {
    self.id = id
    self.kind = kind
    self.phase = phase
    self.serial = serial
    self.name = name
    self.microseconds = microseconds
    self.suppressed = suppressed
    self.reason = reason
  }

  /// For people.
  public var text: String {
    var text = name.utf8.isEmpty ? serial : "\(name) (\(serial))"
    switch (kind, phase) {
    case (.motion, .begin): text += ": motion"
    case (.motion, .end): text += ": motion has ended"
    case (.lost, .begin): text += ": the camera is lost"
    case (.lost, .end): text += ": the camera is back"
    case (.tamper, .begin): text += ": the lens is covered"
    case (.tamper, .end): text += ": the lens is free again"
    }
    if !reason.utf8.isEmpty { text += ": " + reason }
    if suppressed > 0 { text += " (\(suppressed) more since the last message)" }
    return text
  }

  // MARK: On the wire

  /// A plain text for every client, and for those that know them, parameters (RFC 2045 §5.1: others ignore them).
  public var contentType: String { "text/plain; charset=utf-8; " + parameters }

  /// Of a picture of it.
  public func contentType(ofPicture type: String) -> String { type + "; " + parameters }

  private var parameters: String {
    "alarm=\(kind.rawValue); phase=\(phase.rawValue); serial=\(serial); event=\(id); time=\(microseconds)"
  }

  /// `nil` for a content type that is no alarm's.
  public init?(contentType: String) {
    var values: [String: String] = [:]
    for part in Array(contentType.utf8).split(separator: UInt8(ascii: ";")).dropFirst() {
      let text = part.drop { $0 == 0x20 || $0 == 0x09 }
      guard let equals = text.firstIndex(of: UInt8(ascii: "=")), values.count < 16 else { continue }
      values[String(decoding: text[..<equals], as: UTF8.self)] = String(
        decoding: text[(equals + 1)...].prefix { $0 != 0x20 }, as: UTF8.self)
    }
    guard let kind = values["alarm"].flatMap({ Kind(rawValue: $0) }),
      let phase = values["phase"].flatMap({ Phase(rawValue: $0) }), let serial = values["serial"],
      Names.isValidSerial(serial), let id = values["event"], Self.isID(id),
      let time = values["time"].flatMap({ ASCII.decimal($0, max: UInt64(Int64.max)) })
    else { return nil }
    self.init(id: id, kind: kind, phase: phase, serial: serial, microseconds: Int64(time))
  }

  /// It is part of a file's name.
  static func isID(_ text: String) -> Bool {
    (1...32).contains(text.utf8.count) && text.utf8.allSatisfy { ASCII.isDigit($0) || ASCII.isAlpha($0) }
  }

  // MARK: In a journal

  /// What the content type says, as a member of a message.
  public var referenceJSON: JSONValue {
    .object([
      .init("kind", .string(kind.rawValue)), .init("phase", .string(phase.rawValue)), .init("serial", .string(serial)),
      .init("event", .string(id)), .init("time_us", .integer(microseconds)),
    ])
  }

  public init?(reference: JSONValue) {
    guard let kind = reference["kind"]?.text.flatMap({ Kind(rawValue: $0) }),
      let phase = reference["phase"]?.text.flatMap({ Phase(rawValue: $0) }), let serial = reference["serial"]?.text,
      let id = reference["event"]?.text, let time = reference["time_us"]?.integer
    else { return nil }
    self.init(id: id, kind: kind, phase: phase, serial: serial, microseconds: time)
  }

  public var json: JSONValue {
    var members: [JSONValue.Member] = [
      .init("id", .string(id)), .init("kind", .string(kind.rawValue)), .init("phase", .string(phase.rawValue)),
      .init("serial", .string(serial)), .init("time", .string(Timestamp.text(microseconds / 1_000_000))),
      .init("time_us", .integer(microseconds)), .init("text", .string(text)),
    ]
    if suppressed > 0 { members.append(.init("suppressed", .integer(Int64(suppressed)))) }
    return .object(members)
  }
}
