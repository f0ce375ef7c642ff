internal import EdgeCore

/// The Data Channel Establishment Protocol (RFC 8832 §5): what is said on a stream before it is a channel.
enum DataChannelMessage: Hashable {
  case open(DataChannelOptions)
  case acknowledge

  /// RFC 8831 §8 and RFC 8832 §8.1: payload protocol identifiers.
  enum PPID {
    static let control: UInt32 = 50
    static let text: UInt32 = 51
    static let binary: UInt32 = 53
    static let emptyText: UInt32 = 56
    static let emptyBinary: UInt32 = 57
  }

  /// Longer labels are of no use and only cost memory.
  static let maximumLabel = 1024

  var serialized: [UInt8] {
    switch self {
    case .acknowledge: return [0x02]
    case .open(let options):
      var writer = ByteWriter()
      writer.write(UInt8(0x03))
      var type: UInt8 = options.isOrdered ? 0x00 : 0x80
      var parameter: UInt32 = 0
      switch options.reliability {
      case .reliable: break
      case .retransmissions(let count):
        type |= 0x01
        parameter = UInt32(count)
      case .lifetime(let milliseconds):
        type |= 0x02
        parameter = UInt32(milliseconds)
      }
      writer.write(type)
      // RFC 8832 §5.1: priority, as in RFC 8831 §6.4: 1024 extra high, 512 high, 256 normal.
      switch options.priority {
      case .signalling: writer.write(UInt16(1024))
      case .media: writer.write(UInt16(512))
      case .bulk: writer.write(UInt16(256))
      }
      writer.write(parameter)
      writer.write(UInt16(clamping: options.label.utf8.count))
      writer.write(UInt16(clamping: options.protocolName.utf8.count))
      writer.write(options.label)
      writer.write(options.protocolName)
      return writer.bytes
    }
  }

  /// `nil` for what is not DCEP.
  init?(_ bytes: [UInt8]) {
    let span = bytes.span
    var reader = ByteReader(span.bytes)
    do throws(ShortRead) {
      switch try reader.readUInt8() {
      case 0x02: self = .acknowledge
      case 0x03:
        let type = try reader.readUInt8()
        let priority = try reader.readUInt16()
        let parameter = UInt16(clamping: try reader.readUInt32())
        let labelCount = Int(try reader.readUInt16())
        let protocolCount = Int(try reader.readUInt16())
        guard labelCount <= Self.maximumLabel, protocolCount <= Self.maximumLabel else { return nil }
        var options = DataChannelOptions(
          label: String(decoding: try reader.readBytes(labelCount), as: UTF8.self),
          isOrdered: type & 0x80 == 0,
          protocolName: String(decoding: try reader.readBytes(protocolCount), as: UTF8.self))
        switch type & 0x7F {
        case 0x00: options.reliability = .reliable
        case 0x01: options.reliability = .retransmissions(parameter)
        case 0x02: options.reliability = .lifetime(milliseconds: parameter)
        default: return nil
        }
        options.priority = priority > 512 ? .signalling : priority > 256 ? .media : .bulk
        self = .open(options)
      default: return nil
      }
    } catch {
      return nil
    }
  }
}
