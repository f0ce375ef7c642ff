import CLinux

/// A bounded queue from any thread to the reactor.
///
/// Posting never waits: a full mailbox refuses, and the poster decides what to drop.
public final class Mailbox<Message>: @unchecked Sendable {
  private let lock = Lock()
  private let capacity: Int
  private var messages: [Message] = []
  private var isClosed = false
  private let event: FileDescriptor

  // The reactor's thread only.
  private let reactor: Reactor
  private var token: Reactor.Token?
  private var onMessage: ((Message) -> Void)?

  /// `onMessage` is called on the reactor, in the order of posting of each thread. The reactor keeps the mailbox alive.
  public init(
    reactor: Reactor, capacity: Int, onMessage: @escaping (Message) -> Void
  ) throws(SystemError) {
    self.reactor = reactor
    self.capacity = capacity
    self.onMessage = onMessage
    event = FileDescriptor(
      owning: try systemCall("eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
    token = try reactor.add(event.raw, interest: .read) { _ in self.deliver() }
  }

  /// From any thread. `false` when the mailbox is full or closed; the message is dropped then.
  @discardableResult
  public func post(_ message: sending Message) -> Bool {
    pthread_mutex_lock(lock.mutex)
    defer { pthread_mutex_unlock(lock.mutex) }
    guard !isClosed, messages.count < capacity else { return false }
    messages.append(message)
    // One wake-up for all that is queued.
    if messages.count == 1 { eventfd_write(event.raw, 1) }
    return true
  }

  /// From any thread: so many messages are taken, unless another thread posts first.
  public var room: Int { lock.withLock { isClosed ? 0 : capacity - messages.count } }

  /// On the reactor's thread. Nothing is delivered afterwards; posting threads are told.
  public func close() {
    lock.withLock {
      isClosed = true
      messages.removeAll()
    }
    if let token { reactor.remove(token) }
    token = nil
    onMessage = nil
  }

  private func deliver() {
    let batch = lock.withLock {
      var count: UInt64 = 0
      eventfd_read(event.raw, &count)
      defer { messages.removeAll(keepingCapacity: true) }
      return messages
    }
    for message in batch { onMessage?(message) }
  }
}
