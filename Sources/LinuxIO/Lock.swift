import CLinux

/// A mutual exclusion lock; the standard library's does not exist in Embedded Swift on every target.
public final class Lock: @unchecked Sendable {
  let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

  public init() {
    mutex.initialize(to: pthread_mutex_t())
    precondition(pthread_mutex_init(mutex, nil) == 0)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  public func withLock<Result>(_ body: () -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }

  /// For those who cannot use ``withLock(_:)``; ``release()`` must follow on the same thread.
  public func acquire() { pthread_mutex_lock(mutex) }

  public func release() { pthread_mutex_unlock(mutex) }
}

/// A bounded queue a thread waits on: work handed from the reactor to a worker.
public final class WorkQueue<Item>: @unchecked Sendable {
  private let lock = Lock()
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let capacity: Int
  private var items: [Item] = []
  private var isClosed = false

  public init(capacity: Int) {
    self.capacity = capacity
    condition.initialize(to: pthread_cond_t())
    precondition(pthread_cond_init(condition, nil) == 0)
  }

  deinit {
    pthread_cond_destroy(condition)
    condition.deallocate()
  }

  /// `false` when the queue is full or closed; the item is dropped then.
  public func push(_ item: sending Item) -> Bool {
    pthread_mutex_lock(lock.mutex)
    defer { pthread_mutex_unlock(lock.mutex) }
    guard !isClosed, items.count < capacity else { return false }
    items.append(item)
    pthread_cond_signal(condition)
    return true
  }

  /// Waits for an item; `nil` once the queue is closed, whatever it still holds.
  public func pop() -> Item? {
    pthread_mutex_lock(lock.mutex)
    defer { pthread_mutex_unlock(lock.mutex) }
    while items.isEmpty && !isClosed { pthread_cond_wait(condition, lock.mutex) }
    return isClosed ? nil : items.removeFirst()
  }

  /// Wakes every waiting thread; what is queued is dropped.
  public func close() {
    pthread_mutex_lock(lock.mutex)
    defer { pthread_mutex_unlock(lock.mutex) }
    isClosed = true
    items.removeAll()
    pthread_cond_broadcast(condition)
  }
}
