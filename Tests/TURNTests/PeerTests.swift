import EdgeCore
import STUN
import TURN
import Testing

/// RFC 8656 §9 to §12, and the peers there is no relaying to.
@Suite("Relay server: permissions, channels and data")
struct PeerTests {
  @Test func `a permission is for an address, whatever the port, and for 300 seconds`() throws {
    let desk = RelayDesk()
    let relay = try #require(desk.relay(on: desk.flow()))
    #expect(desk.peerSends(5, from: "198.51.100.7:1", on: relay) == .none)
    #expect(desk.permit(["198.51.100.7:9"], on: desk.flow())?.isSuccess == true)
    let granted = desk.now
    for port in ["1", "9", "65535"] {
      #expect(
        desk.peerSends(5, from: "198.51.100.7:\(port)", on: relay)
          == .toClient(desk.flow(), payload: 0..<5, padding: 3))
      #expect(
        desk.sendIndication([1, 2], to: ["198.51.100.7:\(port)"], on: desk.flow())
          == .toPeer(relay, SocketAddress("198.51.100.7:\(port)")!, payload: 36..<38))
    }
    #expect(desk.peerSends(5, from: "198.51.100.8:9", on: relay) == .none)
    #expect(desk.sendIndication([1], to: ["198.51.100.8:9"], on: desk.flow()) == .none)
    // Data does not refresh it.
    desk.now = granted + .seconds(300) - .milliseconds(1)
    #expect(desk.peerSends(5, from: "198.51.100.7:1", on: relay) != .none)
    desk.now = granted + .seconds(300)
    #expect(desk.peerSends(5, from: "198.51.100.7:1", on: relay) == .none)
    #expect(desk.sendIndication([1], to: ["198.51.100.7:1"], on: desk.flow()) == .none)
  }

  @Test func `a data indication says who sent it and is followed by the data`() throws {
    let desk = RelayDesk()
    let relay = try #require(desk.relay(on: desk.flow()))
    #expect(desk.permit(["198.51.100.7"], on: desk.flow())?.isSuccess == true)
    let data: [UInt8] = [1, 2, 3, 4, 5]
    let answer = desk.peerSends(data.count, from: "198.51.100.7:77", on: relay)
    #expect(answer == .toClient(desk.flow(), payload: 0..<5, padding: 3))
    let whole = desk.header + data + [0, 0, 0]
    let message = try #require(parse(whole)).message
    #expect(message.type == MessageType(.indication, .data))
    #expect(message[.data]?.value == data)
    #expect(message.xorAddress(.xorPeerAddress) == SocketAddress("198.51.100.7:77"))
  }

  @Test func `permissions are granted all or not at all`() throws {
    let desk = RelayDesk { $0.permissionsPerAllocation = 4 }
    let relay = try #require(desk.relay(on: desk.flow()))
    #expect(desk.permit(["198.51.100.7", "127.0.0.1"], on: desk.flow())?.code == 403)
    #expect(desk.permit(["198.51.100.7", "2001:db8::1"], on: desk.flow())?.code == 443)
    #expect(desk.permit([], on: desk.flow())?.code == 400)
    #expect(
      desk.ask(
        .createPermission, [Attribute(.xorPeerAddress, [0, 9, 1])], on: desk.flow(), as: desk.credentials())?.code
        == 400)
    #expect(desk.statistics.permissions == 0)
    #expect(desk.permit((1...4).map { "198.51.100.\($0)" }, on: desk.flow())?.isSuccess == true)
    #expect(desk.permit(["198.51.100.1", "198.51.100.5"], on: desk.flow())?.code == 508)
    #expect(desk.permit(["198.51.100.1", "198.51.100.2"], on: desk.flow())?.isSuccess == true)
    #expect(desk.peerSends(1, from: "198.51.100.5:1", on: relay) == .none)
    desk.now = desk.now + .seconds(301)
    #expect(desk.permit(["198.51.100.5"], on: desk.flow())?.isSuccess == true)
  }

  // MARK: Channels

  @Test func `a channel has a number of its range and one peer, a peer one channel`() throws {
    let desk = RelayDesk { $0.channelsPerAllocation = 3 }
    _ = try #require(desk.relay(on: desk.flow()))
    for number: UInt16 in [0, 0x3FFF, 0x5000, 0x7FFF, 0xFFFF] {
      #expect(desk.bind(number, to: "198.51.100.7:1", on: desk.flow())?.code == 400)
    }
    #expect(desk.bind(0x4000, to: "198.51.100.7:1", on: desk.flow())?.isSuccess == true)
    #expect(desk.bind(0x4000, to: "198.51.100.7:1", on: desk.flow())?.isSuccess == true)
    #expect(desk.bind(0x4000, to: "198.51.100.7:2", on: desk.flow())?.code == 400)
    #expect(desk.bind(0x4001, to: "198.51.100.7:1", on: desk.flow())?.code == 400)
    #expect(desk.bind(0x4FFF, to: "198.51.100.7:2", on: desk.flow())?.isSuccess == true)
    #expect(desk.bind(0x4001, to: "2001:db8::1:2", on: desk.flow()) == nil || true)
    #expect(desk.bind(0x4001, to: "[2001:db8::1]:2", on: desk.flow())?.code == 443)
    #expect(desk.bind(0x4001, to: "10.9.9.9:2", on: desk.flow())?.code == 403)
    #expect(desk.bind(0x4001, to: "198.51.100.7:3", on: desk.flow())?.isSuccess == true)
    #expect(desk.bind(0x4002, to: "198.51.100.7:4", on: desk.flow())?.code == 508)
    let number = Attribute.channelNumber(0x4003)
    #expect(desk.ask(.channelBind, [number], on: desk.flow(), as: desk.credentials())?.code == 400)
  }

  @Test func `a channel carries both ways, grants the permission, and lasts 600 seconds`() throws {
    let desk = RelayDesk()
    let relay = try #require(desk.relay(on: desk.flow()))
    #expect(desk.bind(0x4001, to: "198.51.100.7:9", on: desk.flow())?.isSuccess == true)
    let bound = desk.now
    let peer = SocketAddress("198.51.100.7:9")!
    #expect(desk.receive([0x40, 1, 0, 2, 8, 9], desk.flow()) == .toPeer(relay, peer, payload: 4..<6))
    // RFC 8656 §12.6: zero bytes are a datagram too; what is shorter than it says is none.
    #expect(desk.receive([0x40, 1, 0, 0], desk.flow()) == .toPeer(relay, peer, payload: 4..<4))
    #expect(desk.receive([0x40, 1, 0, 3, 8, 9], desk.flow()) == .none)
    #expect(desk.receive([0x40, 1, 0], desk.flow()) == .none)
    #expect(desk.receive([0x40, 2, 0, 1, 8], desk.flow()) == .none)
    #expect(desk.receive([0x50, 0, 0, 1, 8], desk.flow()) == .none)
    #expect(desk.peerSends(7, from: "198.51.100.7:9", on: relay) == .toClient(desk.flow(), payload: 0..<7, padding: 0))
    #expect(desk.header == [0x40, 1, 0, 7])
    // Another port of the same address has the permission, not the channel.
    #expect(desk.peerSends(7, from: "198.51.100.7:8", on: relay) == .toClient(desk.flow(), payload: 0..<7, padding: 1))
    #expect(desk.header.count == 36)
    // The permission is over first; data has refreshed neither.
    desk.now = bound + .seconds(300)
    #expect(desk.peerSends(7, from: "198.51.100.7:9", on: relay) == .none)
    #expect(desk.ask(.refresh, [], on: desk.flow(), as: desk.credentials())?.isSuccess == true)
    desk.now = bound + .seconds(600) - .milliseconds(1)
    #expect(desk.receive([0x40, 1, 0, 2, 8, 9], desk.flow()) == .toPeer(relay, peer, payload: 4..<6))
    desk.now = bound + .seconds(600)
    #expect(desk.receive([0x40, 1, 0, 2, 8, 9], desk.flow()) == .none)
    // Once over, number and peer are free.
    #expect(desk.bind(0x4001, to: "198.51.100.7:10", on: desk.flow())?.isSuccess == true)
  }

  @Test func `on a stream channel data is padded to four`() throws {
    let desk = RelayDesk()
    let flow = desk.flow(1, .tls)
    let relay = try #require(desk.relay(on: flow))
    #expect(desk.bind(0x4001, to: "198.51.100.7:9", on: flow)?.isSuccess == true)
    for (count, padding) in [(4, 0), (5, 3), (6, 2), (7, 1), (0, 0)] {
      #expect(
        desk.peerSends(count, from: "198.51.100.7:9", on: relay)
          == .toClient(flow, payload: 0..<count, padding: padding))
      #expect(desk.header == [0x40, 1, 0, UInt8(count)])
    }
  }

  // MARK: Send indications

  @Test func `a send indication without a peer or data is dropped, of two peers the first counts`() throws {
    let desk = RelayDesk()
    let relay = try #require(desk.relay(on: desk.flow()))
    #expect(desk.permit(["198.51.100.7", "198.51.100.8"], on: desk.flow())?.isSuccess == true)
    #expect(desk.sendIndication(nil, to: ["198.51.100.7:1"], on: desk.flow()) == .none)
    #expect(desk.sendIndication([1], to: [], on: desk.flow()) == .none)
    #expect(
      desk.sendIndication([1], to: ["198.51.100.7:1", "198.51.100.8:1"], on: desk.flow())
        == .toPeer(relay, SocketAddress("198.51.100.7:1")!, payload: 48..<49))
    // A refused first one is not excused by an allowed second one, nor the other way round.
    #expect(desk.sendIndication([1], to: ["127.0.0.1:1", "198.51.100.8:1"], on: desk.flow()) == .none)
    #expect(desk.sendIndication([], to: ["198.51.100.7:1"], on: desk.flow()) != .none)
    #expect(
      desk.sendIndication([1], to: ["198.51.100.7:1"], on: desk.flow(), extra: [Attribute(.dontFragment, [])])
        == .none)
    #expect(desk.sent.isEmpty)
  }

  @Test func `of two peers of a ChannelBind or a Connect the first counts, for the policy too`() throws {
    let desk = RelayDesk()
    let relay = try #require(desk.relay(on: desk.flow()))
    let id = TransactionID(high: 8, low: 8)
    let peers = ["198.51.100.7:1", "127.0.0.1:1", "198.51.100.8:1"].map {
      Attribute.xorAddress(.xorPeerAddress, RelayDesk.peer($0), transaction: id)
    }
    func bind(_ number: UInt16, _ peers: [Attribute]) -> STUNMessage? {
      desk.ask(.channelBind, [.channelNumber(number)] + peers, on: desk.flow(), as: desk.credentials(), id: id)
    }
    #expect(bind(0x4000, [peers[1], peers[0]])?.code == 403)
    #expect(bind(0x4000, [peers[0], peers[1]])?.isSuccess == true)
    #expect(
      desk.sendChannelData(0x4000, [1], on: desk.flow())
        == .toPeer(relay, SocketAddress("198.51.100.7:1")!, payload: 4..<5))
    let stream = desk.flow(2, .tcp)
    let tcp = Attribute.requestedTransport(RequestedTransport.tcp)
    #expect(desk.ask(.allocate, [tcp], on: stream, as: desk.credentials())?.isSuccess == true)
    #expect(
      desk.ask(.connect, [peers[1], peers[2]], on: stream, as: desk.credentials(), id: id)?.code == 403)
    #expect(desk.ask(.connect, [peers[2], peers[1]], on: stream, as: desk.credentials(), id: id) == nil)
    #expect(desk.connects.map { $0.peer } == [SocketAddress("198.51.100.8:1")!])
  }

  /// CVE-2026-40613: an attribute at an odd place, a message at an odd address.
  @Test func `messages are read wherever they lie, whatever the length of what comes before`() throws {
    for shift in 0..<8 {
      for length in 0..<8 {
        let desk = RelayDesk()
        let relay = try #require(desk.relay(on: desk.flow(), as: nil))
        let odd = Attribute(AttributeType(rawValue: 0x8F01), [UInt8](repeating: 0xA5, count: length))
        let id = TransactionID(high: 8, low: 8)
        let peer = Attribute.xorAddress(.xorPeerAddress, RelayDesk.peer("198.51.100.7"), transaction: id)
        let permit = desk.request(.createPermission, [odd, peer], on: desk.flow(), as: desk.credentials(), id: id)
        desk.receive([UInt8](repeating: 0xFF, count: shift) + permit, desk.flow(), skipping: shift)
        #expect(desk.statistics.permissions == 1)
        #expect(parse(desk.sent.last?.bytes ?? [])?.message.isSuccess == true)
        let send = STUNMessage(
          .indication, .send, transaction: id,
          attributes: [
            odd, .xorAddress(.xorPeerAddress, RelayDesk.peer("198.51.100.7:9"), transaction: id),
            Attribute(.data, [7, 8, 9]),
          ]
        ).serialized()
        let start = 20 + 4 + (length + 3) & ~3 + 12 + 4
        #expect(
          desk.receive([UInt8](repeating: 0xFF, count: shift) + send, desk.flow(), skipping: shift)
            == .toPeer(relay, SocketAddress("198.51.100.7:9")!, payload: start..<start + 3))
      }
    }
  }

  @Test func `what does not fit into a datagram is lost`() throws {
    let desk = RelayDesk()
    let relay = try #require(desk.relay(on: desk.flow()))
    #expect(desk.permit(["198.51.100.7"], on: desk.flow())?.isSuccess == true)
    #expect(desk.peerSends(65_507, from: "198.51.100.7:1", on: relay) == .none)
    #expect(desk.peerSends(65_400, from: "198.51.100.7:1", on: relay) != .none)
  }

  @Test func `an ICMP error is told with its peer, to whom has the permission`() throws {
    let desk = RelayDesk()
    let relay = try #require(desk.relay(on: desk.flow()))
    desk.icmp(3, 4, 1400, about: "198.51.100.7:5", on: relay)
    #expect(desk.sent.isEmpty)
    #expect(desk.permit(["198.51.100.7"], on: desk.flow())?.isSuccess == true)
    desk.icmp(3, 4, 1400, about: "198.51.100.7:5", on: relay)
    desk.icmp(8, 0, 0, about: "198.51.100.7:5", on: relay)
    #expect(desk.sent.count == 1)
    let message = try #require(parse(desk.sent.first?.bytes ?? [])).message
    #expect(message[.icmp]?.value == [0, 0, 3, 4, 0, 0, 5, 120])
  }

  // MARK: Which peers

  static let forbidden = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "169.254.1.1", "10.0.0.1", "172.16.0.1", "172.31.255.255",
    "192.168.0.1", "100.64.0.1", "100.127.255.255", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "192.0.0.1", "10.1.2.3",
  ]
  static let forbiddenV6 = [
    "::", "::1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::10",
    // Each way to write an IPv4 address inside an IPv6 one.
    "::ffff:127.0.0.1", "::ffff:198.51.100.7", "::127.0.0.1", "::198.51.100.7", "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1", "64:ff9b::203.0.113.10", "64:ff9b:1::1", "2002:7f00:1::1", "2002:c633:6407::1",
    "2001:0:1234::1", "2001::1",
  ]

  /// Every method that names a peer goes by the same decision: none lets through what another refuses.
  @Test(arguments: forbidden + forbiddenV6 + ["198.51.100.7", "64:ff9b::198.51.100.7", "2001:db8::7", "203.0.113.10"])
  func `no method reaches a peer another one refuses`(text: String) throws {
    let isGood = ["198.51.100.7", "64:ff9b::198.51.100.7", "2001:db8::7"].contains(text)
    let isOwnRelay = text == "203.0.113.10" || text == "2001:db8::10"
    let desk = RelayDesk {
      $0.relayAddresses.append(IPAddress("2001:db8::10")!)
      $0.policy.ownAddresses.append(IPAddress("2001:db8::10")!)
    }
    let more = [Attribute.requestedTransport(17), .family(.additionalAddressFamily, .v6)]
    #expect(desk.ask(.allocate, more, on: desk.flow(), as: desk.credentials())?.isSuccess == true)
    let peer = IPAddress(text)!.isV4 ? "\(text):1234" : "[\(text)]:1234"
    let permission = desk.permit([text], on: desk.flow())
    let bind = desk.bind(0x4000, to: peer, on: desk.flow())
    let send = desk.sendIndication([1], to: [peer], on: desk.flow())
    let connect = try Self.connect(desk, to: peer)
    if isGood {
      #expect(permission?.isSuccess == true && bind?.isSuccess == true)
      #expect(connect == nil && desk.connects.map { $0.peer } == [SocketAddress(peer)!])
      if case .toPeer = send {} else { Issue.record("an allowed peer is not sent to") }
    } else {
      // An address of ours may have relayed ports, so it can be permitted; no other port is reached.
      #expect(isOwnRelay ? permission?.isSuccess == true : permission?.code == 403)
      #expect(bind?.code == 403 && send == .none)
      #expect(connect?.code == 403 && desk.connects.isEmpty)
      #expect(desk.receive([0x40, 0, 0, 1, 9], desk.flow()) == .none)
      #expect(desk.events.contains { if case .refusedPeer = $0 { true } else { false } })
    }
  }

  /// RFC 6062's way to a peer, from an allocation of the peer's family.
  private static func connect(_ desk: RelayDesk, to peer: String) throws -> STUNMessage? {
    let address = SocketAddress(peer)!
    let flow = desk.flow(2, .tcp)
    let family = Attribute.family(.requestedAddressFamily, address.ip.isV4 ? .v4 : .v6)
    let tcp = Attribute.requestedTransport(RequestedTransport.tcp)
    #expect(desk.ask(.allocate, [tcp, family], on: flow, as: desk.credentials())?.isSuccess == true)
    let id = TransactionID(high: 3, low: 4)
    return desk.ask(
      .connect, [.xorAddress(.xorPeerAddress, address, transaction: id)], on: flow, as: desk.credentials(), id: id)
  }

  @Test func `private peers are relayed to where that is configured, loopback still is not`() throws {
    let desk = RelayDesk { $0.policy.allowsPrivate = true }
    _ = try #require(desk.relay(on: desk.flow()))
    #expect(desk.permit(["192.168.0.1", "10.0.0.1", "100.64.0.9"], on: desk.flow())?.isSuccess == true)
    for text in ["127.0.0.1", "10.1.2.3", "169.254.1.1", "0.0.0.0", "224.0.0.1"] {
      #expect(desk.permit([text], on: desk.flow())?.code == 403)
    }
  }

  @Test func `two clients of one relay reach each other inside it, and nothing else of the machine`() throws {
    let desk = RelayDesk()
    let left = try #require(desk.relay(on: desk.flow(1)))
    let right = try #require(desk.relay(on: desk.flow(2), as: desk.credentials("s2")))
    let (a, b) = (try #require(desk.openRelays[left]), try #require(desk.openRelays[right]))
    #expect(desk.permit(["203.0.113.10"], on: desk.flow(1))?.isSuccess == true)
    #expect(desk.sendIndication([1, 2, 3], to: ["\(b)"], on: desk.flow(1)) == .none)
    #expect(desk.permit(["203.0.113.10"], on: desk.flow(2), as: desk.credentials("s2"))?.isSuccess == true)
    #expect(
      desk.sendIndication([1, 2, 3], to: ["\(b)"], on: desk.flow(1))
        == .toClient(desk.flow(2), payload: 36..<39, padding: 1))
    let message = try #require(parse(desk.header + [1, 2, 3, 0])).message
    #expect(message.xorAddress(.xorPeerAddress) == a)
    #expect(desk.sendIndication([1], to: ["203.0.113.10:5060"], on: desk.flow(1)) == .none)
    #expect(desk.sendIndication([1], to: ["203.0.113.10:3478"], on: desk.flow(1)) == .none)
    // What comes from this machine by the wire comes from something that is not a relayed address.
    #expect(desk.peerSends(5, from: "203.0.113.10:5060", on: left) == .none)
  }

  // MARK: Signalled peers

  @Test func `nobody is reached whose address was not signalled in the session`() throws {
    let desk = RelayDesk { $0.onlySignalledPeers = true }
    _ = try #require(desk.relay(on: desk.flow()))
    #expect(desk.permit(["198.51.100.7"], on: desk.flow())?.code == 403)
    desk.signal(["198.51.100.7", "127.0.0.1"])
    desk.signal(["198.51.100.8"])
    desk.signal(["198.51.100.9"], session: "s2")
    #expect(desk.permit(["198.51.100.7"], on: desk.flow())?.isSuccess == true)
    #expect(desk.permit(["198.51.100.8"], on: desk.flow())?.isSuccess == true, "what is signalled later is added")
    #expect(desk.permit(["198.51.100.9"], on: desk.flow())?.code == 403)
    #expect(desk.sendIndication([1], to: ["198.51.100.9:1"], on: desk.flow()) == .none)
    // The list widens nothing.
    #expect(desk.permit(["127.0.0.1"], on: desk.flow())?.code == 403)
    #expect(desk.sendIndication([1], to: ["198.51.100.7:1"], on: desk.flow()) != .none)
    #expect(desk.bind(0x4000, to: "198.51.100.9:1", on: desk.flow())?.code == 403)
  }

  @Test func `signalled addresses are remembered as long as the session has an allocation, and ten minutes more`()
    throws
  {
    let desk = RelayDesk { $0.onlySignalledPeers = true }
    desk.signal(["198.51.100.7"])
    desk.advance(.seconds(590))
    _ = try #require(desk.relay(on: desk.flow()))
    for _ in 0..<10 {
      desk.advance(.seconds(500))
      #expect(desk.ask(.refresh, [], on: desk.flow(), as: desk.credentials())?.isSuccess == true)
      #expect(desk.permit(["198.51.100.7"], on: desk.flow())?.isSuccess == true)
    }
    desk.advance(.seconds(1300))
    #expect(desk.sizes == [0, 1, 0, 0, 0, 0])
  }

  @Test func `what is remembered of sessions and their addresses has a limit`() throws {
    let desk = RelayDesk {
      $0.onlySignalledPeers = true
      $0.maximumSignalledSessions = 3
      $0.signalledPeersPerSession = 2
    }
    for session in 1...9 { desk.signal(["198.51.100.6", "198.51.100.7", "198.51.100.8"], session: "s\(session)") }
    #expect(desk.sizes.last == 3)
    _ = try #require(desk.relay(on: desk.flow()))
    #expect(desk.permit(["198.51.100.7"], on: desk.flow())?.isSuccess == true)
    #expect(desk.permit(["198.51.100.8"], on: desk.flow())?.code == 403)
  }

  @Test func `relayed addresses reach those of their own session only`() throws {
    let desk = RelayDesk { $0.onlySignalledPeers = true }
    _ = try #require(desk.relay(on: desk.flow(1)))
    let sibling = try #require(desk.relay(on: desk.flow(2)))
    let stranger = try #require(desk.relay(on: desk.flow(3), as: desk.credentials("s2")))
    let (b, c) = (try #require(desk.openRelays[sibling]), try #require(desk.openRelays[stranger]))
    for number in 1...2 { #expect(desk.permit(["203.0.113.10"], on: desk.flow(number))?.isSuccess == true) }
    #expect(desk.permit(["203.0.113.10"], on: desk.flow(3), as: desk.credentials("s2"))?.isSuccess == true)
    #expect(desk.sendIndication([1], to: ["\(b)"], on: desk.flow(1)) != .none)
    #expect(desk.sendIndication([1], to: ["\(c)"], on: desk.flow(1)) == .none)
    #expect(desk.bind(0x4000, to: "\(b)", on: desk.flow(1))?.isSuccess == true)
    #expect(desk.bind(0x4001, to: "\(c)", on: desk.flow(1))?.code == 403)
    // The address is given away anew: the channel does not lead to its next owner.
    desk.close(desk.flow(2))
    #expect(desk.sendChannelData(0x4000, [1], on: desk.flow(1)) == .none)
  }

  // MARK: Damage

  @Test func `damaged requests do no harm and change nothing`() throws {
    let desk = RelayDesk()
    let flow = desk.flow(1, .tcp)
    let relay = try #require(desk.relay(on: flow))
    #expect(desk.bind(0x4000, to: "198.51.100.7:1", on: flow)?.isSuccess == true)
    let user = desk.credentials()
    let id = TransactionID(high: 1, low: 2)
    let peer = Attribute.xorAddress(.xorPeerAddress, SocketAddress("198.51.100.9:1")!, transaction: id)
    let nonce = desk.nonce(flow)
    let packets = [
      desk.request(.createPermission, [peer], on: flow, as: user, nonce: nonce, id: id),
      desk.request(.channelBind, [.channelNumber(0x4001), peer], on: flow, as: user, nonce: nonce, id: id),
      desk.request(.refresh, [Attribute(.lifetime, UInt32(0))], on: flow, as: user, nonce: nonce, id: id),
    ]
    for packet in packets {
      for index in packet.indices {
        for change: UInt8 in [1, 0x80, 0xFF] {
          var damaged = packet
          damaged[index] ^= change
          desk.receive(damaged, flow)
        }
        desk.receive(Array(packet[..<index]), flow)
      }
    }
    #expect(desk.openRelays[relay] != nil && desk.statistics.permissions == 1 && desk.statistics.channels == 1)
  }
}
