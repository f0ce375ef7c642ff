import EdgeCore

/// Why an end of a tunnelled connection tore it down. What is unknown reads as ``failed``.
public enum TunnelFault: UInt8, Hashable, Sendable, CaseIterable {
  case failed = 0
  /// Nobody listens at the resource's address.
  case refused = 1
  case unreachable = 2
  case timedOut = 3
  /// The connection was cut at the other end of the tunnel.
  case reset = 4
  /// More connections than the other side serves.
  case tooMany = 5
  /// The other side sent what it must not.
  case misbehaved = 6

  public var text: String {
    switch self {
    case .failed: "the connection failed at the other end"
    case .refused: "connection refused: nobody listens there"
    case .unreachable: "no route from the node to it"
    case .timedOut: "it did not answer in time"
    case .reset: "cut at the other end"
    case .tooMany: "too many connections at a time"
    case .misbehaved: "the two ends do not understand each other"
    }
  }
}

/// One message on a `tunnel` data channel: a byte that says what it is, then its content.
/// docs/tunnel-protocol.md is the definition.
public enum TunnelMessage: Hashable, Sendable {
  /// 1 to ``maximumData`` bytes of the stream.
  case data(ArraySlice<UInt8>)
  /// This direction of the stream is over.
  case end
  /// So many bytes more may be sent.
  case credit(UInt32)
  /// The connection is torn down, in both directions.
  case reset(TunnelFault)

  /// Bytes of the stream in one message: what one connection may keep the others waiting for.
  public static let maximumData = 16 * 1024

  public var bytes: [UInt8] {
    switch self {
    case .data(let bytes):
      var message: [UInt8] = []
      message.reserveCapacity(bytes.count + 1)
      message.append(0)
      message += bytes
      return message
    case .end: return [1]
    case .credit(let count):
      var writer = ByteWriter()
      writer.write(UInt8(2))
      writer.write(count)
      return writer.bytes
    case .reset(let fault): return [3, fault.rawValue]
    }
  }

  /// `nil` for what no sender may send. Bytes after the content of an `end`, `credit` or `reset` are ignored, so that
  /// later versions may say more.
  public init?(_ bytes: [UInt8]) {
    let span = bytes.span
    var reader = unsafe ByteReader(span.bytes)
    do throws(ShortRead) {
      switch try reader.readUInt8() {
      case 0:
        guard 1...Self.maximumData ~= bytes.count - 1 else { return nil }
        self = .data(bytes[1...])
      case 1: self = .end
      case 2: self = .credit(try reader.readUInt32())
      case 3: self = .reset(TunnelFault(rawValue: try reader.readUInt8()) ?? .failed)
      default: return nil
      }
    } catch {
      return nil
    }
  }
}
