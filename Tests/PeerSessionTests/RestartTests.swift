import EdgeCore
import ICE
import PeerSession
import SDP
import SecureTransport
import Testing

@Suite("A new path for a session that stands")
struct RestartTests {
  /// Offer and answer of a restart, from either side, through their text forms.
  private func restart(_ pair: PeerPair, by first: PeerSession, _ second: PeerSession) {
    first.restart { offer in
      guard let read = try? DataChannelDescription(offer.serialized) else {
        Issue.record("the offer cannot be read: \(offer.serialized)")
        return
      }
      second.answerRestart(read) { answer in
        guard let read = try? DataChannelDescription(answer.serialized) else {
          Issue.record("the answer cannot be read: \(answer.serialized)")
          return
        }
        first.acceptRestart(read)
      }
    }
  }

  @Test(arguments: [true, false])
  func `messages go on through a restart by either side, none lost and none doubled`(byOfferer: Bool) throws {
    let pair = try PeerPair()
    let channel = try pair.open()
    var changes: Set<String> = []
    pair.offerer.onPathChanged = { _ in changes.insert("offerer") }
    pair.answerer.onPathChanged = { _ in changes.insert("answerer") }
    let before = [pair.offerer.path?.local, pair.answerer.path?.local]
    for salt in 0..<10 { #expect(channel.send(PeerPair.pattern(20_000, salt))) }
    restart(pair, by: byOfferer ? pair.offerer : pair.answerer, byOfferer ? pair.answerer : pair.offerer)
    for salt in 10..<20 { #expect(channel.send(PeerPair.pattern(20_000, salt))) }
    try pair.run("another path") { changes.count == 2 && pair.received["answerer"]?.count == 20 }
    #expect(pair.received["answerer"] == (0..<20).map { PeerPair.pattern(20_000, $0) })
    // The machine has the addresses it had, so the path is the same one, checked anew.
    #expect([pair.offerer.path?.local, pair.answerer.path?.local] == before)
    #expect(pair.opened.count == 2 && pair.closed.isEmpty)
    try pair.finish()
  }

  @Test func `an offer nobody answers leaves the session on the path it has`() throws {
    let pair = try PeerPair()
    let channel = try pair.open()
    var offers = 0
    for _ in 0..<3 { pair.offerer.restart { _ in offers += 1 } }
    try pair.run("offers") { offers > 0 }
    #expect(channel.send([1, 2, 3]))
    try pair.run("a message") { pair.received["answerer"]?.count == 1 }
    #expect(pair.offerer.path != nil && pair.closed.isEmpty)
    // And the next one is answered.
    var changes = 0
    pair.offerer.onPathChanged = { _ in changes += 1 }
    restart(pair, by: pair.offerer, pair.answerer)
    try pair.run("another path") { changes == 1 }
    try pair.finish()
  }

  @Test func `an offer with another certificate is no restart`() throws {
    let pair = try PeerPair()
    _ = try pair.open()
    let stranger = try PeerPair()
    _ = try stranger.open()
    var answers = 0
    stranger.offerer.restart { [answerer = pair.answerer] offer in answerer.answerRestart(offer) { _ in answers += 1 } }
    try stranger.run("an offer", limit: .seconds(1)) { stranger.offerer.silence > .milliseconds(500) }
    try pair.run("silence", limit: .seconds(2)) { pair.answerer.silence > .milliseconds(500) }
    #expect(answers == 0 && pair.closed.isEmpty)
    try stranger.finish()
    try pair.finish()
  }

  @Test func `the same offer again gets the same answer`() throws {
    let pair = try PeerPair()
    let kept = Kept()
    pair.editOffer = { kept.offer = $0 }
    pair.editAnswer = { kept.answer = $0 }
    _ = try pair.open()
    let offer = try #require(kept.offer)
    var again: DataChannelDescription?
    pair.answerer.answerRestart(offer) { again = $0 }
    try pair.run("the answer") { again != nil }
    #expect(again?.iceUfrag == kept.answer?.iceUfrag && again?.setup == kept.answer?.setup)
    try pair.finish()
  }

  @Test func `a trickled candidate counts only for the credentials it names`() throws {
    let pair = try PeerPair()
    let kept = Kept()
    pair.offerer.offer { kept.offer = $0 }
    try pair.run("the offer") { kept.offer != nil }
    let offer = try #require(kept.offer)
    pair.answerer.answer(offer) { kept.answer = $0 }
    try pair.run("the answer") { kept.answer != nil }
    for (ufrag, port) in [("another", UInt16(4001)), (offer.iceUfrag, 4002)] {
      let address = SocketAddress(.v4(0x7F00_0001), port: port)
      let candidate = SDPCandidate(foundation: "9", priority: 1000, address: address, kind: .host)
      pair.answerer.receive(
        TrickleFragment(sections: [
          TrickleFragment.Section(
            mid: offer.mid ?? "0", iceUfrag: ufrag, icePassword: offer.icePassword, candidates: [candidate],
            endOfCandidates: false)
        ]))
      #expect(pair.answerer.pairs.contains { $0.remote.address == address } == (ufrag == offer.iceUfrag))
    }
    try pair.finish()
  }

  private final class Kept {
    var offer, answer: DataChannelDescription?
  }
}
