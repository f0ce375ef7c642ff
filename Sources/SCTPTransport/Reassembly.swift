/// Puts together messages that libusrsctp delivers in parts because they are larger than it likes to hold.
struct Reassembly {
  enum Result {
    case incomplete
    case complete(SCTPMessage)
    case tooLarge
  }

  private struct Key: Hashable {
    var stream: UInt16
    var isUnordered: Bool
  }

  private var partial: [Key: [UInt8]] = [:]
  private var total = 0

  /// `limit` bounds one message, and four times it all that are under way.
  mutating func add(_ fragment: SCTPInbox.Fragment, limit: Int) -> Result {
    let key = Key(stream: fragment.stream, isUnordered: fragment.isUnordered)
    var bytes = fragment.bytes
    if var begun = partial.removeValue(forKey: key) {
      total -= begun.count
      begun += bytes
      bytes = begun
    }
    guard bytes.count <= limit, total + bytes.count <= 4 * limit else { return .tooLarge }
    if fragment.isLast {
      return .complete(
        SCTPMessage(stream: fragment.stream, ppid: fragment.ppid, bytes: bytes, isOrdered: !fragment.isUnordered))
    }
    total += bytes.count
    partial[key] = bytes
    return .incomplete
  }

  /// The rest of what was begun on these streams will not come.
  mutating func forget(_ streams: [UInt16]) {
    for stream in streams {
      for isUnordered in [false, true] {
        total -= partial.removeValue(forKey: Key(stream: stream, isUnordered: isUnordered))?.count ?? 0
      }
    }
  }
}

/// Requests to close streams: one at a time may be under way (RFC 6525 §5.1.1).
struct StreamResets {
  private var wanted: [UInt16] = []
  private var requested: [UInt16] = []

  var isBusy: Bool { !wanted.isEmpty || !requested.isEmpty }

  mutating func want(_ streams: [UInt16]) {
    for stream in streams where !wanted.contains(stream) && !requested.contains(stream) { wanted.append(stream) }
  }

  /// What to ask for now, if anything.
  mutating func next(isDrained: (UInt16) -> Bool) -> [UInt16]? {
    guard requested.isEmpty, !wanted.isEmpty else { return nil }
    requested = wanted.filter(isDrained)
    wanted.removeAll { requested.contains($0) }
    return requested.isEmpty ? nil : requested
  }

  mutating func finished(_ streams: [UInt16]) { requested.removeAll { streams.isEmpty || streams.contains($0) } }

  /// To be tried again at the next step.
  mutating func failed(_ streams: [UInt16]) {
    wanted = requested + wanted
    requested = []
  }
}
