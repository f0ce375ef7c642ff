import EdgeCore
import FileTransfer
import LinuxIO
import MSRP
import PeerMessaging
import PeerSession
import SCTPTransport
import SDP
import SecureTransport
import StatusModel

/// How fast a file goes from one session to another, beside the bytes of the same data channel without MSRP, disk and
/// hash: `peer-benchmark FOLDER MEGABYTES ROUNDS`. Both ends share one reactor, so one core carries it all.
@main
struct PeerBenchmark {
  static func main() {
    let words = Program.arguments
    guard words.count == 3, let megabytes = Int(words[1]), let rounds = Int(words[2]) else {
      Program.writeError("usage: peer-benchmark FOLDER MEGABYTES ROUNDS\n")
      Program.exit(64)
    }
    do {
      let size = megabytes * 1_000_000
      let file = words[0] + "/sent"
      try write(file, size)
      var raw: [Double] = []
      var files: [Double] = []
      // In turns: whatever else the machine does meets both.
      for round in 0..<rounds {
        raw.append(try Pair().raw(size))
        files.append(try Pair().file(file, into: words[0], name: "received-\(round)"))
      }
      raw.sort()
      files.sort()
      let (plain, whole) = (raw[rounds / 2], files[rounds / 2])
      Program.writeOutput(
        JSONWriter.text(
          .object([
            .init("megabytes", .integer(megabytes)), .init("raw_kB_s", .integer(Int(plain / 1000))),
            .init("file_kB_s", .integer(Int(whole / 1000))), .init("share_percent", .integer(Int(whole * 100 / plain))),
            .init("resident_bytes", .integer(ProcessFacts.residentBytes ?? 0)),
          ])) + "\n")
    } catch {
      Program.writeError("\(error)\n")
      Program.exit(1)
    }
  }

  private static func write(_ path: String, _ size: Int) throws {
    let file = try OutputFile(path)
    var random = SystemRandom()
    var block = random.bytes(1_000_000)
    for number in 0..<size / block.count {
      block[0] = UInt8(truncatingIfNeeded: number)
      block[1] = UInt8(truncatingIfNeeded: number >> 8)
      try file.write(block)
    }
  }
}

/// Two sessions over the loopback interface.
final class Pair {
  private let reactor: Reactor
  private let sender: PeerSession
  private let receiver: PeerSession
  private var openCount = 0
  private var channels: [PeerChannel] = []

  init() throws {
    reactor = try Reactor()
    var configuration = PeerConfiguration()
    configuration.includesLoopback = true
    sender = PeerSession(reactor: reactor, identity: try Identity(), configuration: configuration)
    receiver = PeerSession(reactor: reactor, identity: try Identity(), configuration: configuration)
    let channel = NegotiatedChannel(streamID: 1, label: "msrp", protocolName: "msrp")
    var made: [(isSender: Bool, PeerChannel)] = []
    for (session, isSender) in [(sender, true), (receiver, false)] {
      session.negotiate(channel, priority: .bulk) { made.append((isSender, $0)) }
      session.onOpen = { [unowned(unsafe) self] in openCount += 1 }
    }
    sender.offer { [receiver, sender] offer in receiver.answer(offer) { sender.accept($0) } }
    while openCount < 2 { try reactor.turn() }
    channels = [made.first { $0.isSender }!.1, made.first { !$0.isSender }!.1]
  }

  /// Bytes a second.
  func raw(_ size: Int) throws -> Double {
    let message = [UInt8](repeating: 7, count: 60 * 1024)
    var sent = 0
    var received = 0
    channels[1].onMessage = { bytes, _ in received += bytes.count }
    channels[0].lowThreshold = 128 * 1024
    let push = { [channels] in
      while sent < size, channels[0].bufferedAmount < 256 * 1024 {
        channels[0].send(message)
        sent += message.count
      }
    }
    channels[0].onBufferedAmountLow = push
    let start = MonotonicClock.now
    push()
    while received < sent || sent < size { try reactor.turn() }
    return try finish(sent, start)
  }

  func file(_ path: String, into folder: String, name: String) throws -> Double {
    let file = try RandomAccessFile(reading: path)
    guard let facts = file.facts else { return 0 }
    var sha256: [UInt8] = []
    let hasher = FileHasher(reactor: reactor, file) { if case .success(let found) = $0 { sha256 = found } }
    while sha256.isEmpty { try reactor.turn() }
    _ = hasher
    let source = FileSource(name: name, type: "video/y4m", file: file, facts: facts, sha256: sha256)
    let start = MonotonicClock.now
    let sink = try FileSink(
      reactor: reactor, folder: folder,
      journal: TransferJournal(name: name, size: facts.size, sha256: sha256, peer: "benchmark"))
    let (here, there) = (MSRPChannel.newURI(), MSRPChannel.newURI())
    let from = MSRPChannel(reactor: reactor, channel: channels[0], peer: sender, local: here, path: there) { _ in }
    let to = MSRPChannel(reactor: reactor, channel: channels[1], peer: receiver, local: there, path: here) {
      $0.delivery = .pieces(maximum: facts.size)
      $0.ownerConfirms = true
    }
    let outgoing = FileSender(channel: from, source: source, range: 0..<facts.size)
    let incoming = FileReceiver(channel: to, sink: sink)
    var isDelivered = false
    outgoing.onEvent = { event in
      if case .failed(let why) = event { Program.writeError(why + "\n") }
      if case .delivered = event { isDelivered = true }
    }
    outgoing.start()
    while !isDelivered { try reactor.turn() }
    _ = incoming
    from.close()
    to.close()
    let rate = try finish(Int(facts.size), start)
    try File.remove(folder + "/" + name)
    return rate
  }

  private func finish(_ bytes: Int, _ start: Instant) throws -> Double {
    let seconds = Double((MonotonicClock.now - start).wholeNanoseconds) / 1e9
    sender.close()
    receiver.close()
    try reactor.turn(waitingAtMost: .milliseconds(10))
    return Double(bytes) / seconds
  }
}
