internal import EdgeCore
public import SDP

/// What an offer or answer says of a chat: texts on a data channel (RFC 4975 §8, RFC 8873).
public struct ChatDescription: Hashable, Sendable {
  /// This end's MSRP URI.
  public var path: String
  /// This end says the first word (RFC 6135 §4.2.2).
  public var isActive: Bool

  /// Whoever calls says who they are to the server: a wrapper that says it once more is not taken.
  public static let types = ["text/plain"]

  public init(path: String, isActive: Bool) {
    self.path = path
    self.isActive = isActive
  }

  /// The channel of an offer.
  public var channel: NegotiatedChannel {
    channel(
      on: NegotiatedChannel(
        streamID: FileDescription.streamID, label: FileDescription.label,
        protocolName: FileDescription.subprotocol))
  }

  /// The same on the channel an offer named.
  public func channel(on offered: NegotiatedChannel) -> NegotiatedChannel {
    var channel = offered
    channel.attributes = [
      .init("msrp-cema"), .init("setup", isActive ? "active" : "passive"), .init("accept-types", Self.types[0]),
      .init("path", path),
    ]
    return channel
  }

  /// `nil` for a channel that carries a file, or whose other end takes no plain text.
  public init?(_ channel: NegotiatedChannel) {
    guard channel.protocolName == FileDescription.subprotocol, channel.attribute("file-selector") == nil,
      let path = channel.attribute("path"), 8...256 ~= path.utf8.count,
      let types = channel.attribute("accept-types"),
      types.utf8.split(separator: 0x20).contains(where: {
        $0.elementsEqual("*".utf8) || $0.elementsEqual("text/*".utf8) || $0.elementsEqual("text/plain".utf8)
      })
    else { return nil }
    self.init(path: path, isActive: channel.attribute("setup") != "passive")
  }

  /// The channel of an offer or answer that carries a chat.
  public static func channel(in description: DataChannelDescription) -> NegotiatedChannel? {
    for channel in description.channels where ChatDescription(channel) != nil { return channel }
    return nil
  }
}
