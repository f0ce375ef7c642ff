import EdgeCore
import Foundation
import Testing

@testable import LinuxIO

/// Counts across threads.
final class Counter: @unchecked Sendable {
  private let lock = NSLock()
  private var count = 0

  @discardableResult func add(_ number: Int = 1) -> Int {
    lock.lock()
    defer { lock.unlock() }
    count += number
    return count
  }

  var value: Int { add(0) }
}

@Suite("Threads and mailboxes")
struct ThreadTests {
  @Test func `messages of each thread arrive on the reactor once and in order`() throws {
    let reactor = try Reactor()
    var received: [[Int]] = [[], [], []]
    let mailbox = try Mailbox<(thread: Int, number: Int)>(reactor: reactor, capacity: 64) {
      received[$0.thread].append($0.number)
    }
    let threads = try (0..<3).map { thread in
      try LinuxIO.Thread(name: "poster-\(thread)") {
        for number in 0..<5000 {
          while !mailbox.post((thread, number)) { usleep(10) }
        }
      }
    }
    try reactor.turn(until: { received.allSatisfy { $0.count == 5000 } }, within: .seconds(30))
    for thread in threads { thread.join() }
    #expect(received.allSatisfy { $0 == Array(0..<5000) })
    mailbox.close()
  }

  @Test func `a full mailbox refuses, and a closed one too`() throws {
    let reactor = try Reactor()
    var received: [Int] = []
    let mailbox = try Mailbox<Int>(reactor: reactor, capacity: 2) { received.append($0) }
    #expect(mailbox.post(1))
    #expect(mailbox.post(2))
    #expect(!mailbox.post(3))
    try reactor.turn(until: { received.count == 2 })
    #expect(mailbox.post(4))
    mailbox.close()
    #expect(!mailbox.post(5))
    try reactor.turn(for: .milliseconds(10))
    #expect(received == [1, 2])
  }

  @Test func `a mailbox closed by one message delivers no other`() throws {
    let reactor = try Reactor()
    var received: [Int] = []
    var mailbox: Mailbox<Int>?
    mailbox = try Mailbox<Int>(reactor: reactor, capacity: 8) {
      received.append($0)
      mailbox?.close()
    }
    for number in 0..<4 { mailbox?.post(number) }
    try reactor.turn(for: .milliseconds(10))
    #expect(received == [0])
  }

  @Test func `a work queue hands items over in order, is bounded, and lets its thread go when closed`() throws {
    let queue = WorkQueue<Int>(capacity: 3)
    #expect(queue.push(1) && queue.push(2) && queue.push(3))
    #expect(!queue.push(4))
    let sum = Counter()
    let thread = try LinuxIO.Thread(name: "a name longer than the kernel keeps") {
      while let item = queue.pop() { sum.add(item) }
    }
    while sum.value < 6 { usleep(100) }
    queue.close()
    thread.join()
    thread.join()
    #expect(sum.value == 6)
    #expect(!queue.push(1))
  }

  @Test func `signals arrive on the reactor, also those sent to the process by another thread`() throws {
    let reactor = try Reactor()
    var received: [Signal] = []
    // SIGWINCH is harmless to the threads of the test runner, which do not block it.
    let source = try SignalSource(reactor: reactor, signals: [.windowChanged, .user1]) { received.append($0) }
    pthread_kill(pthread_self(), SIGWINCH)
    try reactor.turn(until: { received.count == 1 })
    pthread_kill(pthread_self(), SIGUSR1)
    try reactor.turn(until: { received.count == 2 })
    #expect(received == [.windowChanged, .user1])
    source.close()
  }

  @Test func `a thread of ours takes no signal`() throws {
    var before = sigset_t()
    pthread_sigmask(SIG_BLOCK, nil, &before)
    let blocked = Counter()
    let thread = try LinuxIO.Thread(name: "masked") {
      var mask = sigset_t()
      pthread_sigmask(SIG_BLOCK, nil, &mask)
      if sigismember(&mask, SIGTERM) == 1, sigismember(&mask, SIGINT) == 1 { blocked.add() }
    }
    thread.join()
    #expect(blocked.value == 1)
    // And its maker is as it was.
    var after = sigset_t()
    pthread_sigmask(SIG_BLOCK, nil, &after)
    #expect((1..<65).allSatisfy { sigismember(&before, Int32($0)) == sigismember(&after, Int32($0)) })
  }
}
