import MSRP
import RendezvousLogic
import SIP
import Testing

@testable import OfflineService

/// What nobody may hold on to for ever.
@Suite("Limits of the offline service")
struct LimitTests {
  let scene = OfflineScene()
  let alice: Peer

  init() {
    alice = Peer(scene.world, "alice")
    scene.register(alice)
    scene.reset()
  }

  @Test func `a caller that vanishes is told goodbye when it has been away for five minutes`() throws {
    let (invite, uri) = scene.call("gate-box", by: alice)
    scene.send(invite, by: alice)
    let answer = try #require(alice.received().last)
    scene.follow(.ack, invite, answer, by: alice)
    let link = scene.connect(alice, to: answer.body, as: uri)
    scene.send("stored all the same", id: "m-one", over: link)
    scene.lose(link)
    scene.reset()
    scene.advance(.seconds(299))
    #expect(scene.trace == [])
    scene.advance(.seconds(2))
    // Whoever is as long away has no flow left to say it over.
    #expect(scene.trace.prefix(4) == ["ms1>as BYE", "as>proxy BYE", "as>ms1 200 BYE", "proxy>as 430 BYE"])
    #expect(scene.server.choice.counts == [0])
    #expect(scene.media[0].count == 0)
    #expect(scene.boxes[0].messages.map(\.body) == [Array("stored all the same".utf8)])
  }

  @Test func `a caller that connects again goes on, however long its session is`() throws {
    let (invite, uri) = scene.call("gate-box", by: alice)
    scene.send(invite, by: alice)
    let answer = try #require(alice.received().last)
    scene.follow(.ack, invite, answer, by: alice)
    scene.lose(scene.connect(alice, to: answer.body, as: uri))
    scene.advance(.seconds(200))
    let link = scene.connect(alice, to: answer.body, as: uri)
    scene.send("here again", id: "m-two", over: link)
    scene.advance(.seconds(7 * 3600))
    scene.send("still here", id: "m-three", over: link)
    #expect(scene.boxes[0].messages.count == 2)
    #expect(scene.server.choice.counts == [1])
  }

  @Test func `one caller cannot take all the sessions there are`() throws {
    var statuses: [Int] = []
    for _ in 0...ApplicationServer.perCaller {
      let (invite, _) = scene.call("gate-box", by: alice)
      scene.send(invite, by: alice)
      statuses.append(try #require(alice.received().last?.status?.value))
    }
    #expect(statuses.dropLast() == ArraySlice(Array(repeating: 200, count: ApplicationServer.perCaller)))
    #expect(statuses.last == 503)
  }

  @Test func `a connection that names no session is closed after half a minute`() throws {
    let (invite, uri) = scene.call("gate-box", by: alice)
    scene.send(invite, by: alice)
    let answer = try #require(alice.received().last)
    let link = scene.connect(alice, to: answer.body, as: uri)
    scene.advance(.seconds(29))
    #expect(scene.closed == [])
    scene.advance(.seconds(2))
    #expect(scene.closed == [link.connection])
  }
}
