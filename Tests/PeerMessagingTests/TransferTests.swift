import EdgeCore
import FileTransfer
import Foundation
import LinuxIO
import MSRP
import PeerMessaging
import PeerSession
import SCTPTransport
import SDP
import SecureTransport
import Testing

/// Two sessions over the loopback interface, with an MSRP session between them.
final class MSRPPair {
  let reactor: Reactor
  let peers: [PeerSession]
  var channels: [MSRPChannel] = []
  private var made: [PeerChannel?] = [nil, nil]
  private var openCount = 0

  init(_ reactor: Reactor, receives maximum: UInt64) throws {
    self.reactor = reactor
    var configuration = PeerConfiguration()
    configuration.includesLoopback = true
    let identities = [try Identity(), try Identity()]
    peers = identities.map { PeerSession(reactor: reactor, identity: $0, configuration: configuration) }
    let channel = NegotiatedChannel(streamID: 1, label: "msrp", protocolName: "msrp")
    for (index, peer) in peers.enumerated() {
      peer.negotiate(channel, priority: .bulk) { [unowned self] in made[index] = $0 }
      peer.onOpen = { [unowned self] in openCount += 1 }
    }
    let (first, second) = (peers[0], peers[1])
    first.offer { offer in second.answer(offer) { first.accept($0) } }
    while openCount < 2 { try reactor.turn(waitingAtMost: .seconds(5)) }
    let uris = [MSRPChannel.newURI(), MSRPChannel.newURI()]
    for index in 0..<2 {
      channels.append(
        MSRPChannel(
          reactor: reactor, channel: try #require(made[index]), peer: peers[index], local: uris[index],
          path: uris[1 - index]
        ) {
          $0.delivery = .pieces(maximum: maximum)
          $0.ownerConfirms = true
        })
    }
  }

  func close() {
    for channel in channels { channel.close() }
    for peer in peers { peer.close() }
  }

  func run(until condition: () -> Bool) throws {
    let end = reactor.now + .seconds(20)
    while !condition() {
      try #require(reactor.now < end, "timed out")
      try reactor.turn(waitingAtMost: .milliseconds(50))
    }
  }
}

@Suite("Files from session to session", .serialized)
struct TransferTests {
  private let reactor: Reactor
  private let folder: Scratch
  /// A file whose last name goes is a changed file.
  private let there: Scratch
  private let source: FileSource
  private let content = FileSinkTests.content

  init() throws {
    reactor = try Reactor()
    folder = try Scratch()
    there = try Scratch()
    try there.write("clip.y4m", content)
    let file = try RandomAccessFile(reading: there.path + "/clip.y4m")
    source = FileSource(
      name: "clip.y4m", type: "video/y4m", file: file, facts: try #require(file.facts),
      sha256: Hashes.openSSL.sha256(content))
  }

  private func sink(_ journal: TransferJournal = FileSinkTests.journal()) throws -> FileSink {
    try FileSink(reactor: reactor, folder: folder.path, journal: journal)
  }

  @Test func `a file arrives whole, and is delivered when it has its name`() throws {
    let pair = try MSRPPair(reactor, receives: source.size)
    let sender = FileSender(channel: pair.channels[0], source: source, range: 0..<source.size)
    let receiver = FileReceiver(channel: pair.channels[1], sink: try sink())
    var finished = ""
    var isDelivered = false
    receiver.onEvent = { if case .finished(let path) = $0 { finished = path } }
    sender.onEvent = { event in
      guard case .delivered = event else { return }
      isDelivered = true
      #expect(folder.names == ["clip.y4m"])
    }
    sender.start()
    try pair.run { isDelivered }
    #expect(finished == folder.path + "/clip.y4m")
    #expect(folder.read("clip.y4m") == content)
    pair.close()
  }

  @Test func `cut twice, it goes on in the next session and no byte crosses three times`() throws {
    let sink = try sink()
    var crossed: UInt64 = 0
    for round in 0..<3 {
      let pair = try MSRPPair(reactor, receives: source.size)
      let start = sink.next
      let sender = FileSender(channel: pair.channels[0], source: source, range: start..<source.size)
      let receiver = FileReceiver(channel: pair.channels[1], sink: sink)
      var isOver = false
      receiver.onEvent = { event in
        switch event {
        case .finished, .cut: isOver = true
        case .failed(let why): Issue.record("\(why)")
        case .progress: break
        }
      }
      sender.start()
      if round < 2 {
        try pair.run { sink.next >= start + 700_000 }
        receiver.cut()
      }
      try pair.run { isOver }
      crossed += sink.next - start
      pair.close()
    }
    #expect(crossed == source.size)
    #expect(folder.read("clip.y4m") == content)
    #expect(folder.names == ["clip.y4m"])
  }

  @Test func `what is not what was announced is refused, and the sender is told`() throws {
    var wrong = FileSinkTests.journal()
    wrong.sha256[0] ^= 1
    let pair = try MSRPPair(reactor, receives: source.size)
    let sender = FileSender(channel: pair.channels[0], source: source, range: 0..<source.size)
    let receiver = FileReceiver(channel: pair.channels[1], sink: try sink(wrong))
    var told: [String] = []
    receiver.onEvent = { if case .failed(let why) = $0 { told.append(why) } }
    sender.onEvent = { if case .failed(let why) = $0 { told.append(why) } }
    sender.start()
    try pair.run { told.count == 2 }
    #expect(told == ["what came is not the file that was announced", "it arrived otherwise than it was announced"])
    #expect(folder.names.isEmpty)
    pair.close()
  }

  @Test func `a message of another length than the rest of the file is not taken`() throws {
    let pair = try MSRPPair(reactor, receives: source.size)
    let sender = FileSender(channel: pair.channels[0], source: source, range: 0..<source.size - 1)
    let sink = try sink()
    let receiver = FileReceiver(channel: pair.channels[1], sink: sink)
    var why = ""
    sender.onEvent = { if case .failed(let text) = $0 { why = text } }
    sender.start()
    try pair.run { !why.isEmpty }
    #expect(why == "the receiver cannot store it")
    #expect(sink.next == 0)
    _ = receiver
    sink.abandon()
    pair.close()
  }

  @Test func `a receiver that holds its confirmations stops the sender within a few megabytes`() throws {
    let big = [UInt8](repeating: 9, count: 12_000_000)
    let pair = try MSRPPair(reactor, receives: UInt64(big.count))
    let source = FileSource(name: "big", type: "a/b", bytes: big, modified: 0)
    let sender = FileSender(channel: pair.channels[0], source: source, range: 0..<source.size)
    pair.channels[1].isHolding = true
    var received: UInt64 = 0
    pair.channels[1].onEvent = { [unowned pair] event in
      if case .piece(_, _, let bytes) = event { received += UInt64(bytes.count) }
      if case .received(let id, _, _, _) = event { pair.channels[1].accept(id) }
    }
    var isDelivered = false
    sender.onEvent = { if case .delivered = $0 { isDelivered = true } }
    sender.start()
    var last: UInt64 = 0
    var still = 0
    try pair.run {
      still = received == last ? still + 1 : 0
      last = received
      return still > 10 && last > 0
    }
    #expect(last <= 4_000_000)
    pair.channels[1].isHolding = false
    try pair.run { isDelivered }
    #expect(received == UInt64(big.count))
    pair.close()
  }
}
