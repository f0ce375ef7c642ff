/// Which ports of one relay address are free. Chosen at random (RFC 6056), one bit each.
struct PortPool {
  private let range: ClosedRange<UInt16>
  /// A set bit is a port in use; counted from the start of the range.
  private var words: [UInt64]
  private(set) var free: Int

  init(_ range: ClosedRange<UInt16>) {
    self.range = range
    free = range.count
    words = Array(repeating: 0, count: (range.count + 63) / 64)
  }

  func contains(_ port: UInt16) -> Bool { range.contains(port) }

  /// Any port, or an even one, or an even one whose successor is free too.
  enum Wish { case any, even, evenWithNext }

  /// Takes the first fitting port from a random place on; `nil` when there is none.
  mutating func take(_ wish: Wish, random: UInt64) -> UInt16? {
    let count = range.count
    guard free > 0 else { return nil }
    let start = Int(random % UInt64(count))
    var step = 0
    while step < count {
      var index = start + step
      if index >= count { index -= count }
      // A full word is passed over at once.
      if index % 64 == 0, words[index / 64] == .max {
        step += 64
        continue
      }
      if fits(index, wish) {
        mark(index)
        return range.lowerBound + UInt16(index)
      }
      step += 1
    }
    return nil
  }

  /// Takes this port if it is free.
  mutating func take(exactly port: UInt16) -> Bool {
    guard range.contains(port) else { return false }
    let index = Int(port - range.lowerBound)
    guard isFree(index) else { return false }
    mark(index)
    return true
  }

  mutating func release(_ port: UInt16) {
    guard range.contains(port) else { return }
    let index = Int(port - range.lowerBound)
    guard !isFree(index) else { return }
    words[index / 64] &= ~(1 << UInt64(index % 64))
    free += 1
  }

  private func isFree(_ index: Int) -> Bool { words[index / 64] & 1 << UInt64(index % 64) == 0 }

  private mutating func mark(_ index: Int) {
    words[index / 64] |= 1 << UInt64(index % 64)
    free -= 1
  }

  private func fits(_ index: Int, _ wish: Wish) -> Bool {
    guard isFree(index) else { return false }
    if case .any = wish { return true }
    guard (Int(range.lowerBound) + index) % 2 == 0 else { return false }
    if case .even = wish { return true }
    return index + 1 < range.count && isFree(index + 1)
  }
}
