import EdgeCore
import Foundation
import Testing

@testable import LinuxIO

@Suite("Reactor")
struct ReactorTests {
  @Test func `timers run in the order of their deadlines, equal ones in the order they were set`() throws {
    let reactor = try Reactor()
    var order: [Int] = []
    let base = reactor.now
    reactor.schedule(at: base + .milliseconds(20)) { order.append(3) }
    reactor.schedule(at: base + .milliseconds(10)) { order.append(1) }
    reactor.schedule(at: base + .milliseconds(10)) { order.append(2) }
    reactor.schedule(at: base + .milliseconds(30)) {
      order.append(4)
      reactor.stop()
    }
    try reactor.run()
    #expect(order == [1, 2, 3, 4])
    #expect(reactor.now >= base + .milliseconds(30))
  }

  @Test func `a cancelled timer does not run, even when cancelled by one due at the same moment`() throws {
    let reactor = try Reactor()
    var ran: [String] = []
    var second: Reactor.TimerToken?
    let at = reactor.now + .milliseconds(5)
    reactor.schedule(at: at) {
      ran.append("first")
      reactor.cancel(second!)
    }
    second = reactor.schedule(at: at) { ran.append("second") }
    let third = reactor.schedule(after: .milliseconds(1)) { ran.append("third") }
    reactor.cancel(third)
    reactor.schedule(after: .milliseconds(15)) { reactor.stop() }
    try reactor.run()
    #expect(ran == ["first"])
  }

  @Test func `an earlier timer set later still runs in time`() throws {
    let reactor = try Reactor()
    let start = reactor.now
    var firedAt: Instant?
    reactor.schedule(after: .seconds(60)) {}
    try reactor.turn(waitingAtMost: .zero)
    reactor.schedule(after: .milliseconds(10)) { firedAt = reactor.now }
    try reactor.turn(until: { firedAt != nil })
    #expect(try #require(firedAt) - start < .seconds(5))
  }

  @Test func `a timer set for the past runs at the next turn, not in this one`() throws {
    let reactor = try Reactor()
    var turns = 0
    var ranInTurn: Int?
    reactor.schedule(at: .zero) { reactor.schedule(at: .zero) { ranInTurn = turns } }
    while ranInTurn == nil, turns < 10 {
      turns += 1
      try reactor.turn(waitingAtMost: .milliseconds(50))
    }
    #expect(ranInTurn == 2)
  }

  @Test func `many random timers, half of them cancelled, run once each and in order`() throws {
    var random = SeededRandom(seed: 42)
    var queue = TimerQueue()
    var ran: [(Int64, UInt64)] = []
    var live: Set<UInt64> = []
    var deadlines: [UInt64: Int64] = [:]
    for _ in 0..<2000 {
      let at = Int64.random(in: 0..<500, using: &random)
      let id = queue.schedule(at: Instant(nanoseconds: at)) {}
      deadlines[id] = at
      live.insert(id)
    }
    for id in deadlines.keys where id % 2 == 0 {
      queue.cancel(id)
      live.remove(id)
    }
    #expect(queue.count == 1000)
    #expect(queue.heapCount <= 2001)
    for now in stride(from: Int64(0), through: 500, by: 50) {
      for id in queue.removeDue(at: Instant(nanoseconds: now)) where queue.take(id) != nil {
        ran.append((deadlines[id]!, id))
        #expect(deadlines[id]! <= now)
      }
    }
    #expect(Set(ran.map(\.1)) == live)
    #expect(ran.count == live.count)
    #expect(ran.elementsEqual(ran.sorted { $0 < $1 }, by: ==))
    #expect(queue.nextDeadline() == nil)
  }

  @Test func `cancelled timers do not pile up`() {
    var queue = TimerQueue()
    for _ in 0..<10_000 { queue.cancel(queue.schedule(at: Instant(nanoseconds: 1)) {}) }
    #expect(queue.count == 0)
    #expect(queue.heapCount <= 65)
  }

  @Test func `an event fetched for a removed registration never reaches its successor on the same descriptor`() throws {
    let reactor = try Reactor()
    var pipes: [Int32] = [0, 0]
    var others: [Int32] = [0, 0]
    #expect(pipe(&pipes) == 0 && pipe(&others) == 0)
    var seen: [String] = []
    var tokens: [Reactor.Token] = []
    // Both are ready in one turn. Whoever is called first replaces the other's descriptor by a new, silent pipe.
    func replace(_ victim: Int) {
      reactor.remove(tokens[victim])
      var fresh: [Int32] = [0, 0]
      #expect(pipe(&fresh) == 0)
      let descriptor = victim == 0 ? pipes[0] : others[0]
      #expect(dup2(fresh[0], descriptor) == descriptor)
      _ = try! reactor.add(descriptor, interest: .read) { _ in seen.append("stale") }
    }
    tokens.append(
      try reactor.add(pipes[0], interest: .read) { _ in
        seen.append("a")
        reactor.remove(tokens[0])
        replace(1)
      })
    tokens.append(
      try reactor.add(others[0], interest: .read) { _ in
        seen.append("b")
        reactor.remove(tokens[1])
        replace(0)
      })
    write(pipes[1], "x", 1)
    write(others[1], "x", 1)
    try reactor.turn(for: .milliseconds(30))
    #expect(seen.count == 1)
    #expect(!seen.contains("stale"))
    for descriptor in pipes + others { close(descriptor) }
  }

  @Test func `signalling runs before media and media before bulk, whatever the order they came in`() throws {
    let reactor = try Reactor()
    var order: [String] = []
    reactor.enqueue(.bulk) { order.append("bulk") }
    reactor.enqueue(.media) { order.append("media") }
    reactor.enqueue(.signalling) { order.append("signalling") }
    try reactor.turn(waitingAtMost: .zero)
    #expect(order == ["signalling", "media", "bulk"])
  }

  @Test func `a flood of signalling keeps neither bulk work nor descriptors from their turn`() throws {
    let reactor = try Reactor()
    var floods = 0
    var bulk = 0
    func flood() {
      floods += 1
      reactor.enqueue(.signalling, flood)
    }
    reactor.enqueue(.signalling, flood)
    for _ in 0..<20 { reactor.enqueue(.bulk) { bulk += 1 } }
    for _ in 0..<3 { try reactor.turn(waitingAtMost: .seconds(1)) }
    #expect(bulk == 20)
    #expect(floods == 3 * TaskQueue.turnLimits[0])
  }

  @Test func `stop ends the run at the end of the turn, and it may run again`() throws {
    let reactor = try Reactor()
    var count = 0
    for _ in 0..<2 {
      reactor.enqueue(.signalling) {
        reactor.stop()
        reactor.enqueue(.signalling) { count += 1 }
      }
      try reactor.run()
    }
    #expect(count == 2)
  }

  @Test func `a missing descriptor is refused with the call and the reason`() throws {
    let reactor = try Reactor()
    let file = TemporaryDirectory()
    let descriptor = open(file.path, O_RDONLY)
    defer { close(descriptor) }
    // epoll(7) refuses directories.
    #expect(throws: SystemError(call: "epoll_ctl", errno: EPERM)) {
      try reactor.add(descriptor, interest: .read) { _ in }
    }
    #expect(SystemError(call: "epoll_ctl", errno: EPERM).description == "epoll_ctl: Operation not permitted")
  }
}
