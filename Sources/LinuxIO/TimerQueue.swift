import EdgeCore

/// One-shot timers by deadline: a binary heap, first scheduled first run among equals.
///
/// Cancelling forgets the body at once and leaves the heap entry to be skipped later; the
/// heap is rebuilt when more than half of it is such entries, so it stays within twice the live timers.
struct TimerQueue {
  private struct Entry {
    var deadline: Instant
    var id: UInt64

    func isBefore(_ other: Entry) -> Bool {
      deadline < other.deadline || (deadline == other.deadline && id < other.id)
    }
  }

  private var heap: [Entry] = []
  private var bodies: [UInt64: () -> Void] = [:]
  private var lastID: UInt64 = 0

  var count: Int { bodies.count }
  /// Entries held, cancelled ones included.
  var heapCount: Int { heap.count }

  mutating func schedule(at deadline: Instant, _ body: @escaping () -> Void) -> UInt64 {
    lastID += 1
    bodies[lastID] = body
    heap.append(Entry(deadline: deadline, id: lastID))
    siftUp(heap.count - 1)
    return lastID
  }

  /// Does nothing for a timer that ran or was cancelled before.
  mutating func cancel(_ id: UInt64) {
    guard bodies.removeValue(forKey: id) != nil else { return }
    guard heap.count > 64, heap.count > bodies.count * 2 else { return }
    heap = heap.filter { bodies[$0.id] != nil }
    var index = heap.count / 2
    while index > 0 {
      index -= 1
      siftDown(index)
    }
  }

  mutating func nextDeadline() -> Instant? {
    while let first = heap.first, bodies[first.id] == nil { removeFirst() }
    return heap.first?.deadline
  }

  /// The timers due at `now`, in order, still cancellable until ``take(_:)``.
  mutating func removeDue(at now: Instant) -> [UInt64] {
    var due: [UInt64] = []
    while let first = heap.first, first.deadline <= now || bodies[first.id] == nil {
      removeFirst()
      if bodies[first.id] != nil { due.append(first.id) }
    }
    return due
  }

  /// The body of a due timer; `nil` when it was cancelled meanwhile.
  mutating func take(_ id: UInt64) -> (() -> Void)? { bodies.removeValue(forKey: id) }

  private mutating func removeFirst() {
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    siftDown(0)
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].isBefore(heap[parent]) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var parent = start
    while true {
      var first = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].isBefore(heap[first]) {
        first = child
      }
      guard first != parent else { return }
      heap.swapAt(parent, first)
      parent = first
    }
  }
}
