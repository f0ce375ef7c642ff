/// Messages that wait for the network, by priority. A message that has begun is finished before any other begins:
/// SCTP without interleaving (RFC 8260) sends the pieces of one message in one go.
struct SendQueue {
  /// What is handed over in one call.
  struct Piece {
    var stream: UInt16
    var ppid: UInt32
    var isOrdered: Bool
    var reliability: SCTPMessage.Reliability
    var bytes: ArraySlice<UInt8>
  }

  private var levels: [[SCTPMessage]] = [[], [], []]
  private var heads = [0, 0, 0]
  private var current: SCTPMessage?
  private var offset = 0
  private var perStream: [UInt16: Int] = [:]

  /// Bytes of all messages that were not handed over.
  private(set) var bytes = 0

  var isEmpty: Bool { bytes == 0 }

  func bytes(onStream stream: UInt16) -> Int { perStream[stream] ?? 0 }

  mutating func append(_ message: SCTPMessage) {
    // SCTP has no empty messages; data channels send a byte instead (RFC 8831 §6.6).
    guard !message.bytes.isEmpty else { return }
    levels[message.priority.rawValue].append(message)
    bytes += message.bytes.count
    perStream[message.stream, default: 0] += message.bytes.count
  }

  /// At most `limit` bytes of the message whose turn it is, and whether that is the rest of it.
  mutating func next(limit: Int) -> (Piece, isLast: Bool)? {
    if current == nil { start() }
    guard let message = current else { return nil }
    let end = min(message.bytes.count, offset + limit)
    let piece = Piece(
      stream: message.stream, ppid: message.ppid, isOrdered: message.isOrdered, reliability: message.reliability,
      bytes: message.bytes[offset..<end])
    return (piece, end == message.bytes.count)
  }

  /// So many bytes of the last piece were taken.
  mutating func consumed(_ count: Int) {
    guard let message = current else { return }
    offset += count
    bytes -= count
    let left = (perStream[message.stream] ?? 0) - count
    perStream[message.stream] = left > 0 ? left : nil
    if offset >= message.bytes.count { current = nil }
  }

  mutating func removeAll() { self = SendQueue() }

  private mutating func start() {
    for level in levels.indices where heads[level] < levels[level].count {
      current = levels[level][heads[level]]
      offset = 0
      heads[level] += 1
      if heads[level] == levels[level].count {
        levels[level] = []
        heads[level] = 0
      } else if heads[level] >= 32 {
        levels[level].removeFirst(heads[level])
        heads[level] = 0
      }
      return
    }
  }
}
