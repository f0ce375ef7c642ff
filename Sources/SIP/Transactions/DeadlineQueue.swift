import EdgeCore

/// A binary heap of deadlines. Equal ones come out in the order of their numbers, so a run is reproducible.
struct DeadlineQueue {
  private struct Item {
    var at: Instant
    var number: UInt64

    func precedes(_ other: Item) -> Bool { at == other.at ? number < other.number : at < other.at }
  }

  private var items: [Item] = []

  var count: Int { items.count }

  var first: Instant? { items.first?.at }

  mutating func push(_ at: Instant, _ number: UInt64) {
    items.append(Item(at: at, number: number))
    var index = items.count - 1
    while index > 0 {
      let parent = (index - 1) / 2
      guard items[index].precedes(items[parent]) else { return }
      items.swapAt(index, parent)
      index = parent
    }
  }

  mutating func popDue(at now: Instant) -> UInt64? {
    guard let first = items.first, first.at <= now else { return nil }
    let last = items.removeLast()
    if !items.isEmpty {
      items[0] = last
      sift(0)
    }
    return first.number
  }

  /// Keeps only the items whose deadline is still what `current` says.
  mutating func removeAll(unless current: (UInt64) -> Instant?) {
    items.removeAll { current($0.number) != $0.at }
    var index = items.count / 2
    while index > 0 {
      index -= 1
      sift(index)
    }
  }

  private mutating func sift(_ start: Int) {
    var index = start
    while true {
      var least = index
      for child in [index * 2 + 1, index * 2 + 2] where child < items.count && items[child].precedes(items[least]) {
        least = child
      }
      guard least != index else { return }
      items.swapAt(index, least)
      index = least
    }
  }
}
