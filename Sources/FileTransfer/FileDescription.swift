internal import EdgeCore
public import SDP

/// What an offer or answer says of one file (RFC 5547), as attributes of the data channel it travels on (RFC 8873 §4.7).
public struct FileDescription: Hashable, Sendable {
  public enum Direction: String, Hashable, Sendable {
    /// Whoever says so sends the file.
    case sends = "sendonly"
    case receives = "recvonly"
  }

  public var direction: Direction
  public var selector: FileSelector
  /// RFC 5547 §8.1: new for every transfer, the same in its answer. 1 to 64 characters.
  public var transferID: String
  /// When the file was changed last, in Unix seconds.
  public var modified: Int64?
  /// `nil`: all of it.
  public var range: FileRange?
  /// The sender can begin wherever the receiver has got to already: the answer's range may begin later than the
  /// offer's. Ours alone (docs/chat.md); without it RFC 5547 §8.3.1 has the answer repeat the range of the offer.
  public var canResume = false
  /// This end's MSRP URI (RFC 8873 §4.1).
  public var path: String

  public init(direction: Direction, selector: FileSelector, transferID: String, path: String) {
    self.direction = direction
    self.selector = selector
    self.transferID = transferID
    self.path = path
  }

  /// What files travel in.
  public static let label = "msrp"
  public static let subprotocol = "msrp"
  /// RFC 8864 §6.1: odd, because whoever answers becomes the DTLS client here.
  public static let streamID: UInt16 = 1

  /// The attributes of RFC 8873 §4.4, all of those it asks for among them.
  public var attributes: [SessionDescription.Attribute] {
    var attributes: [SessionDescription.Attribute] = []
    func add(_ name: String, _ value: String? = nil) { attributes.append(.init(name, value)) }
    add(direction.rawValue)
    add("msrp-cema")
    // RFC 6135 §4.2.2: the one that sends opens the session.
    add("setup", direction == .sends ? "active" : "passive")
    add("accept-types", "*")
    add("path", path)
    add("file-selector", selector.text)
    add("file-transfer-id", transferID)
    if direction == .sends { add("file-disposition", "attachment") }
    if let modified { add("file-date", "modification:\"\(MailDate.text(modified))\"") }
    if let range { add("file-range", range.text) }
    if canResume { add(Self.resumeAttribute) }
    return attributes
  }

  private static let resumeAttribute = "x-edge-resume"

  public var channel: NegotiatedChannel {
    NegotiatedChannel(
      streamID: Self.streamID, label: Self.label, protocolName: Self.subprotocol, attributes: attributes)
  }

  /// `nil` for a channel that is no file's, or says it wrongly.
  public init?(_ channel: NegotiatedChannel) {
    guard channel.protocolName == Self.subprotocol, let text = channel.attribute("file-selector"),
      let selector = FileSelector(text), let id = channel.attribute("file-transfer-id"),
      1...64 ~= id.utf8.count, id.utf8.allSatisfy({ 0x21...0x7E ~= $0 }), let path = channel.attribute("path"),
      8...256 ~= path.utf8.count
    else { return nil }
    let sends = channel.attribute(Direction.sends.rawValue) != nil
    guard sends != (channel.attribute(Direction.receives.rawValue) != nil) else { return nil }
    self.init(direction: sends ? .sends : .receives, selector: selector, transferID: id, path: path)
    if let text = channel.attribute("file-range") {
      guard let range = FileRange(text) else { return nil }
      self.range = range
    }
    if let date = channel.attribute("file-date") { modified = MailDate.modification(in: date) }
    canResume = channel.attribute(Self.resumeAttribute) != nil
  }

  /// The same on the channel an offer named.
  public func channel(answering offered: NegotiatedChannel) -> NegotiatedChannel {
    var channel = offered
    channel.attributes = attributes
    return channel
  }

  /// The channel of an offer that carries a file.
  public static func channel(in description: DataChannelDescription) -> NegotiatedChannel? {
    for channel in description.channels where FileDescription(channel) != nil { return channel }
    return nil
  }

  /// The file of an offer or answer: the first channel that carries one.
  public static func find(in description: DataChannelDescription) -> FileDescription? {
    for channel in description.channels { if let file = FileDescription(channel) { return file } }
    return nil
  }
}

/// Dates of RFC 5322 §3.3, the form RFC 5547 wants.
enum MailDate {
  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

  /// `21 Nov 2026 06:21:15 +0000`; the name of the day, which is optional, is left out.
  static func text(_ unixSeconds: Int64) -> String {
    let plain = Array(Timestamp.text(unixSeconds).utf8)
    func part(_ range: Range<Int>) -> String { String(decoding: plain[range], as: UTF8.self) }
    let month = Int(part(5..<7)).map { months[$0 - 1] } ?? "Jan"
    return "\(part(8..<10)) \(month) \(part(0..<4)) \(part(11..<19)) +0000"
  }

  /// The `modification` of a `file-date`, among whatever else it says.
  static func modification(in attribute: String) -> Int64? {
    let parts = Array(attribute.utf8).split(separator: UInt8(ascii: "\""), omittingEmptySubsequences: false)
    for (index, part) in parts.enumerated() where index + 1 < parts.count {
      let key = part.filter { $0 != 0x20 }
      if key.elementsEqual("modification:".utf8) { return parse(parts[index + 1]) }
    }
    return nil
  }

  private static func parse(_ bytes: ArraySlice<UInt8>) -> Int64? {
    var words = bytes.split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }
    if words.first?.utf8.last == UInt8(ascii: ",") { words.removeFirst() }
    guard words.count == 5, let month = months.firstIndex(where: { ASCII.equalIgnoringCase($0, words[1]) }),
      words[4].utf8.count == 5
    else { return nil }
    let zone = Array(words[4].utf8)
    let offset = String(decoding: zone[..<3], as: UTF8.self) + ":" + String(decoding: zone[3...], as: UTF8.self)
    func padded(_ text: String) -> String { text.utf8.count == 1 ? "0" + text : text }
    return Timestamp.parse("\(words[2])-\(padded("\(month + 1)"))-\(padded(words[0]))T\(words[3])\(offset)")
  }
}
