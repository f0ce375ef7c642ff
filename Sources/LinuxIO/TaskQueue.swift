/// Work put off to later in this turn of the reactor, in three priorities.
///
/// A turn runs a bounded number of each, higher ones first. So signalling never waits behind
/// media, and no flood of one kind keeps the others, or the sockets, from their turn.
struct TaskQueue {
  /// Tasks of each priority one turn may run.
  static let turnLimits = [64, 32, 8]

  private var queues: [Queue] = [Queue(), Queue(), Queue()]

  private struct Queue {
    var tasks: [() -> Void] = []
    var head = 0
  }

  var isEmpty: Bool { queues.allSatisfy { $0.tasks.isEmpty } }

  mutating func append(_ level: Int, _ task: @escaping () -> Void) { queues[level].tasks.append(task) }

  mutating func popFirst(_ level: Int) -> (() -> Void)? {
    guard queues[level].head < queues[level].tasks.count else { return nil }
    let task = queues[level].tasks[queues[level].head]
    queues[level].head += 1
    if queues[level].head == queues[level].tasks.count {
      queues[level] = Queue()
    } else if queues[level].head >= 256 {
      queues[level].tasks.removeFirst(queues[level].head)
      queues[level].head = 0
    }
    return task
  }
}
