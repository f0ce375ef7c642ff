internal import EdgeCore

/// Deadlines in a binary heap: the earliest at hand, each change in O(log n).
///
/// An entry whose deadline has moved stays where it is: whoever takes it out looks, and puts it back.
struct ExpiryQueue<Key> {
  private struct Entry {
    var deadline: Instant
    var key: Key
  }

  private var heap: [Entry] = []
  /// Entries known to be for nothing.
  private var dead = 0

  var count: Int { heap.count }
  var first: Instant? { heap.first?.deadline }

  mutating func insert(_ key: Key, at deadline: Instant) {
    heap.append(Entry(deadline: deadline, key: key))
    siftUp(heap.count - 1)
  }

  /// The next key that is due.
  mutating func popDue(at now: Instant) -> Key? {
    guard let first = heap.first, first.deadline <= now else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    siftDown(0)
    return first.key
  }

  /// One entry will not be wanted any more. When such entries are the larger part, they are thrown out.
  mutating func abandonOne(isLive: (Key) -> Bool) {
    dead += 1
    guard dead > 64, dead * 2 > heap.count else { return }
    dead = 0
    heap = heap.filter { isLive($0.key) }
    var index = heap.count / 2
    while index > 0 {
      index -= 1
      siftDown(index)
    }
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].deadline < heap[parent].deadline else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var parent = start
    while true {
      var smallest = parent
      let left = 2 * parent + 1
      if left < heap.count && heap[left].deadline < heap[smallest].deadline { smallest = left }
      if left + 1 < heap.count && heap[left + 1].deadline < heap[smallest].deadline { smallest = left + 1 }
      guard smallest != parent else { return }
      heap.swapAt(parent, smallest)
      parent = smallest
    }
  }
}
