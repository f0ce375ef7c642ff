internal import EdgeCore

/// A data channel agreed on in offer and answer, with its subprotocol's own attributes (RFC 8864): both ends know it
/// before the association stands, and no opening message travels for it.
///
/// Reliable and ordered. Others, which RFC 8864 allows, are left out when parsing: nothing here speaks on them.
public struct NegotiatedChannel: Hashable, Sendable {
  /// The SCTP stream. RFC 8864 §6.1: even when its offerer becomes the DTLS client, else odd.
  public var streamID: UInt16
  public var label: String
  /// The subprotocol's name, such as `msrp` (RFC 8873).
  public var protocolName: String
  /// What the `dcsa` attributes of this channel hold.
  public var attributes: [SessionDescription.Attribute]

  public init(
    streamID: UInt16, label: String, protocolName: String, attributes: [SessionDescription.Attribute] = []
  ) {
    self.streamID = streamID
    self.label = label
    self.protocolName = protocolName
    self.attributes = attributes
  }

  /// The value of the first attribute of this name; "" for one without a value.
  public func attribute(_ name: String) -> String? { attributes.firstValue(name) }
}

extension NegotiatedChannel {
  /// RFC 8864 §5.1.1 and §5.2.1: the `dcmap` line and one `dcsa` line for each attribute.
  var lines: [SessionDescription.Attribute] {
    var lines = [
      SessionDescription.Attribute(
        "dcmap", "\(streamID) label=\(Self.quoted(label));subprotocol=\(Self.quoted(protocolName))")
    ]
    for attribute in attributes {
      let text = attribute.value.map { attribute.name + ":" + $0 } ?? attribute.name
      lines.append(SessionDescription.Attribute("dcsa", "\(streamID) \(text)"))
    }
    return lines
  }

  /// Those of a section, in order, malformed ones left out.
  static func all(in attributes: [SessionDescription.Attribute]) -> [NegotiatedChannel] {
    var channels: [NegotiatedChannel] = []
    for attribute in attributes where attribute.name == "dcmap" {
      guard channels.count < SDPLimits.channels, let channel = NegotiatedChannel(map: attribute.value ?? ""),
        !channels.contains(where: { $0.streamID == channel.streamID })
      else { continue }
      channels.append(channel)
    }
    for attribute in attributes where attribute.name == "dcsa" {
      let value = Array((attribute.value ?? "").utf8)
      guard let space = value.firstIndex(of: 0x20), let id = ASCII.decimal(value[..<space], max: 65_534),
        let index = channels.firstIndex(where: { $0.streamID == UInt16(id) }),
        channels[index].attributes.count < SDPLimits.channelAttributes
      else { continue }
      let text = value[(space + 1)...]
      let colon = text.firstIndex(of: UInt8(ascii: ":"))
      let name = String(decoding: text[..<(colon ?? text.endIndex)], as: UTF8.self)
      guard Grammar.isToken(name) else { continue }
      channels[index].attributes.append(
        SessionDescription.Attribute(name, colon.map { String(decoding: text[($0 + 1)...], as: UTF8.self) }))
    }
    return channels
  }

  private init?(map value: String) {
    let bytes = Array(value.utf8)
    let space = bytes.firstIndex(of: 0x20) ?? bytes.endIndex
    guard let id = ASCII.decimal(bytes[..<space], max: 65_534) else { return nil }
    self.init(streamID: UInt16(id), label: "", protocolName: "")
    var rest = bytes[space...].dropFirst()
    while let equals = rest.firstIndex(of: UInt8(ascii: "=")) {
      let name = String(decoding: rest[..<equals], as: UTF8.self)
      rest = rest[(equals + 1)...]
      let text: String
      if rest.first == UInt8(ascii: "\"") {
        guard let end = rest.dropFirst().firstIndex(of: UInt8(ascii: "\"")),
          let unquoted = Self.unquoted(rest[(rest.startIndex + 1)..<end])
        else { return nil }
        text = unquoted
        rest = rest[(end + 1)...]
      } else {
        let end = rest.firstIndex(of: UInt8(ascii: ";")) ?? rest.endIndex
        text = String(decoding: rest[..<end], as: UTF8.self)
        rest = rest[end...]
      }
      guard rest.isEmpty || rest.first == UInt8(ascii: ";") else { return nil }
      rest = rest.dropFirst()
      switch name {
      case "label": label = text
      case "subprotocol": protocolName = text
      case "ordered" where text != "true": return nil
      case "max-retr", "max-time": return nil
      default: break
      }
    }
    guard rest.isEmpty else { return nil }
  }

  private static func quoted(_ text: String) -> String {
    "\"" + Percent.encode(text) { 0x20...0x7E ~= $0 && $0 != UInt8(ascii: "\"") } + "\""
  }

  private static func unquoted(_ bytes: ArraySlice<UInt8>) -> String? {
    Percent.decode(bytes).flatMap { String(validating: $0, as: UTF8.self) }
  }
}
