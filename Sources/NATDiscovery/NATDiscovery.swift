public import EdgeCore
internal import STUN

/// Finds out what kind of NAT is in front of this machine (RFC 5780), in about two seconds.
///
/// Two sockets are needed: what the one has sent to opens the filter for its answers, so filtering is asked about
/// from another. The server's second port is the one after its first, unless it names another (OTHER-ADDRESS).
///
///     ask the server ──answer──▶ ask its other places, and for answers from there ──all settled──▶ report
///           └──silence──▶ report: no UDP
public struct NATDiscovery<Random: RandomNumberGenerator>: ~Copyable {
  /// The socket a question goes out of.
  public enum Lane: Hashable, Sendable { case mapping, filtering }

  public struct Send: Hashable, Sendable {
    public var lane: Lane
    public var datagram: Datagram
  }

  /// Complete when the call that filled it returns.
  public struct Output {
    public var sends: [Send] = []
    /// Comes once.
    public var report: NATReport?

    public init() {}
  }

  public struct Configuration: Hashable, Sendable {
    /// A server with two ports, and better two addresses.
    public var server: SocketAddress
    /// Any STUN server: asked for the public address alone when the other is silent.
    public var plainServer: SocketAddress?
    /// A question goes out this long after the one before, then twice as long, then four times, and is given up.
    public var firstWait: Duration = .milliseconds(250)

    public init(server: SocketAddress, plainServer: SocketAddress? = nil) {
      self.server = server
      self.plainServer = plainServer
    }
  }

  enum Question: Hashable {
    case first, plain, otherPort, otherAddress, otherBoth, openFilter, fromOther, fromOtherPort
  }

  struct Probe {
    let question: Question
    let lane: Lane
    let id: TransactionID
    let destination: SocketAddress
    let bytes: [UInt8]
    let begun: Instant
    var sends = 0
    var deadline: Instant
    var isDone = false
    /// What the server saw; `nil` when it was silent.
    var mapped: SocketAddress?
  }

  private static var maxSends: Int { 3 }
  /// RFC 5780 §7.2.
  private static var changeIP: UInt32 { 4 }
  private static var changePort: UInt32 { 2 }

  private let configuration: Configuration
  private var random: Random
  private var probes: [Probe] = []
  private var report = NATReport()
  private var other: SocketAddress?
  private var isOver = false

  public init(_ configuration: Configuration, random: Random) {
    self.configuration = configuration
    self.random = random
  }

  public mutating func start(at now: Instant, into out: inout Output) {
    ask(.first, .mapping, configuration.server, at: now)
    if let plain = configuration.plainServer { ask(.plain, .mapping, plain, at: now) }
    tick(at: now, into: &out)
  }

  public mutating func tick(at now: Instant, into out: inout Output) {
    for index in probes.indices where !probes[index].isDone && now >= probes[index].deadline {
      guard probes[index].sends < Self.maxSends else {
        probes[index].isDone = true
        continue
      }
      probes[index].deadline = now + configuration.firstWait * (1 << probes[index].sends)
      probes[index].sends += 1
      out.sends.append(
        Send(
          lane: probes[index].lane,
          datagram: Datagram(destination: probes[index].destination, bytes: probes[index].bytes)
        ))
    }
    conclude(into: &out)
  }

  /// `local` is the address of this machine the datagram arrived at. Returns whether it was an answer to a question.
  @discardableResult
  public mutating func receive(
    _ datagram: RawSpan, from source: SocketAddress, to local: SocketAddress, on lane: Lane, at now: Instant,
    into out: inout Output
  ) -> Bool {
    guard let header = try? STUNHeader(parsing: datagram),
      let index = probes.firstIndex(where: { $0.id == header.transaction && $0.lane == lane && !$0.isDone }),
      let message = (try? ReceivedMessage(parsing: datagram))?.message, message.type.method == .binding
    else { return false }
    let probe = probes[index]
    switch message.type.messageClass {
    case .success:
      guard isExpected(source, of: probe), let mapped = message.mappedAddress else { return true }
      probes[index].mapped = mapped
    // 420: the server has no other address to answer from.
    case .failure: break
    case .request, .indication: return false
    }
    probes[index].isDone = true
    if probes[index].mapped != nil { learn(probe, message, local, at: now) }
    tick(at: now, into: &out)
    return true
  }

  /// When ``tick(at:into:)`` next has work to do; `nil` means never.
  public var nextDeadline: Instant? {
    guard !isOver else { return nil }
    var deadline: Instant?
    for probe in probes where !probe.isDone { deadline = Instant.earliest(deadline, probe.deadline) }
    return deadline
  }

  // MARK: Inside

  /// An answer from where it must not come from says nothing: a server that ignores CHANGE-REQUEST answers too.
  private func isExpected(_ source: SocketAddress, of probe: Probe) -> Bool {
    switch probe.question {
    case .fromOther: source == other
    case .fromOtherPort: source.ip == configuration.server.ip && source.port == otherPort
    case .first, .plain, .otherPort, .otherAddress, .otherBoth, .openFilter: source == probe.destination
    }
  }

  private var otherPort: UInt16 { other?.port ?? configuration.server.port &+ 1 }

  private mutating func learn(_ probe: Probe, _ message: STUNMessage, _ local: SocketAddress, at now: Instant) {
    report.hasUDP = true
    switch probe.question {
    case .first:
      report.publicAddress = message.mappedAddress
      report.localAddress = local
      if probe.sends == 1 { report.roundTrip = now - probe.begun }
      let server = configuration.server
      if let named = message[.otherAddress]?.addressValue, named.ip != server.ip, named.ip.isV4 == server.ip.isV4,
        named.port != server.port
      {
        other = named
        ask(.otherAddress, .mapping, SocketAddress(named.ip, port: server.port), at: now)
        ask(.otherBoth, .mapping, named, at: now)
      }
      ask(.otherPort, .mapping, SocketAddress(server.ip, port: otherPort), at: now)
      ask(.openFilter, .filtering, server, at: now)
    case .openFilter:
      // The way to the server is open; now it is asked to answer from where nothing was sent to.
      if other != nil {
        ask(.fromOther, .filtering, configuration.server, change: Self.changeIP | Self.changePort, at: now)
      }
      ask(.fromOtherPort, .filtering, configuration.server, change: Self.changePort, at: now)
    case .plain:
      if report.publicAddress == nil {
        report.publicAddress = message.mappedAddress
        report.localAddress = local
      }
    case .otherPort, .otherAddress, .otherBoth, .fromOther, .fromOtherPort: break
    }
  }

  private mutating func ask(
    _ question: Question, _ lane: Lane, _ destination: SocketAddress, change: UInt32 = 0, at now: Instant
  ) {
    let id = TransactionID(using: &random)
    // CHANGE-REQUEST even without a change says what kind of client asks; SOFTWARE makes room: the server's answer
    // is never much larger than the question.
    let attributes = [Attribute(.changeRequest, change), Attribute(.software, "edge NAT behaviour discovery")]
    let bytes = STUNMessage(
      .request, .binding, transaction: id,
      attributes: question == .plain ? [] : attributes
    ).serialized(fingerprint: true)
    probes.append(
      Probe(question: question, lane: lane, id: id, destination: destination, bytes: bytes, begun: now, deadline: now))
  }

  private func result(_ question: Question) -> Probe? { probes.first { $0.question == question } }

  private mutating func conclude(into out: inout Output) {
    guard !isOver, !probes.contains(where: { !$0.isDone }) else { return }
    isOver = true
    judgeMapping()
    judgeFiltering()
    out.report = report
  }

  /// RFC 5780 §4.3.
  private mutating func judgeMapping() {
    guard let first = result(.first)?.mapped ?? result(.plain)?.mapped else { return }
    if first == report.localAddress {
      report.mapping = .none
      return
    }
    guard result(.first)?.mapped != nil else { return }
    if let byAddress = result(.otherAddress)?.mapped, let byBoth = result(.otherBoth)?.mapped {
      report.mapping =
        byAddress == first && byBoth == first
        ? .endpointIndependent : byAddress == byBoth ? .addressDependent : .addressAndPortDependent
    } else if let byPort = result(.otherPort)?.mapped {
      report.mapping = byPort == first ? .endpointIndependent : .addressAndPortDependent
      report.isMappingCertain = byPort != first
    }
  }

  /// RFC 5780 §4.4. Silence means filtered: each question went out three times.
  private mutating func judgeFiltering() {
    guard result(.openFilter)?.mapped != nil else { return }
    if result(.fromOther)?.mapped != nil {
      report.filtering = report.mapping == .none ? .none : .endpointIndependent
    } else if result(.fromOtherPort)?.mapped != nil {
      report.filtering = .addressDependent
      report.isFilteringCertain = other != nil
    } else {
      report.filtering = .addressAndPortDependent
    }
  }
}
