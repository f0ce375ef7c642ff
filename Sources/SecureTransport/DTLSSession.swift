internal import CLinux
internal import COpenSSL
public import EdgeCore

/// One DTLS 1.2 session with one peer, without a socket (RFC 6347, as used by RFC 8827 §6.5).
///
/// Both ends show their identity's certificate, and the peer's must have one of the fingerprints that came
/// through signalling: chain and dates are not looked at.
///
/// OpenSSL measures its retransmission timer with the wall clock. The owner calls ``tick(at:into:)`` at
/// ``nextDeadline`` all the same; when the wall clock was set back in the middle of a handshake, the last
/// flight is sent again as it was, so that the handshake does not hang for the length of the step.
public final class DTLSSession {
  public enum Role: Hashable, Sendable {
    /// Sends the ClientHello: `a=setup:active` (RFC 8842 §5.2).
    case client
    case server
  }

  public enum Event: Hashable, Sendable {
    /// The handshake is done and the peer's certificate is the announced one.
    case established
    /// The payload of one record.
    case received([UInt8])
    /// The peer has said goodbye; it sends nothing more.
    case closedByPeer
    /// Over. A last datagram (an alert) may still be sent.
    case failed(DTLSFailure)
  }

  public struct Output {
    public var datagrams: [[UInt8]] = []
    public var events: [Event] = []

    public init() {}
  }

  /// Retransmission of handshake flights. RFC 6347 §4.2.4.1 has 1 s and doubling to 60 s at most for networks nobody
  /// knows anything about; here ICE has just measured the path, and a person is waiting for a picture.
  public struct Timing: Hashable, Sendable {
    public var initial: Duration = .milliseconds(150)
    public var maximum: Duration = .milliseconds(1500)

    public init() {}
  }

  /// The largest UDP payload the handshake makes: 1200 bytes fit through any path IPv6 works on (RFC 8200 §5).
  public static let maximumDatagram = 1200
  /// What a record adds to its payload at most: header 13, explicit nonce 8, tag 16 (RFC 6347 §4.1, RFC 5288 §3).
  public static let recordOverhead = 37
  /// The largest payload ``send(_:into:)`` takes, in bytes.
  public static let maximumPayload = 2048

  private enum Phase: ~Copyable {
    case handshaking
    case established(VerifiedPeer)
    case over

    var isHandshaking: Bool {
      switch self {
      case .handshaking: true
      case .established: false
      case .over: false
      }
    }

    var isOver: Bool {
      switch self {
      case .handshaking: false
      case .established: false
      case .over: true
      }
    }

    var peer: CertificateFingerprint? {
      switch self {
      case .handshaking: nil
      case .established(let peer): peer.fingerprint
      case .over: nil
      }
    }
  }

  private let raw: OpaquePointer
  private let wire = WireBIO(.datagram)
  private let context: DTLSContext
  private let signalled: [CertificateFingerprint]
  private let timing: Timing
  private var phase = Phase.handshaking
  /// Made by the certificate callback, spent when the handshake completes.
  private var proof: VerifiedPeer?
  private var refused: CertificateFingerprint?
  /// The datagrams of the last flight, for a new path or a clock that was set back. Empty once established.
  private var lastFlight: [[UInt8]] = []

  public let role: Role
  /// When ``tick(at:into:)`` next has work to do; `nil` means never.
  public private(set) var nextDeadline: Instant?

  /// `peerFingerprints`: what signalling announced; any one will do, and none at all is a mistake of the caller.
  public init(
    role: Role, identity: Identity, peerFingerprints: [CertificateFingerprint], timing: Timing = .init()
  ) throws(SecureTransportError) {
    precondition(!peerFingerprints.isEmpty, "a DTLS session needs to know whom it talks to")
    context = try identity.dtlsContext()
    ErrorQueue.clear()
    guard let raw = SSL_new(context.raw) else {
      throw .refused(doing: "start a DTLS session", faults: ErrorQueue.drain())
    }
    self.raw = raw
    self.role = role
    self.timing = timing
    signalled = peerFingerprints
    // Both directions share the one BIO, which OpenSSL frees with the session.
    SSL_set_bio(raw, wire.raw, wire.raw)
    SSL_set_ex_data(raw, 0, Unmanaged.passUnretained(self).toOpaque())
    _ = edge_SSL_set_mtu(raw, Self.maximumDatagram)
    DTLS_set_timer_cb(raw, Self.timerThunk)
    switch role {
    case .client: SSL_set_connect_state(raw)
    case .server: SSL_set_accept_state(raw)
    }
  }

  deinit { SSL_free(raw) }

  public var isEstablished: Bool { phase.peer != nil }

  public var isOver: Bool { phase.isOver }

  /// Which fingerprint the peer proved; `nil` before the session is established.
  public var peerFingerprint: CertificateFingerprint? { phase.peer }

  /// Sends a client's ClientHello. A server waits for it.
  public func start(at now: Instant, into out: inout Output) {
    guard role == .client else { return }
    drive(at: now, into: &out)
  }

  /// Takes one datagram from the peer. Anything that is not a good record is dropped (RFC 6347 §4.1.2.7).
  public func receive(_ datagram: [UInt8], at now: Instant, into out: inout Output) {
    guard !isOver else { return }
    wire.receive(datagram)
    drive(at: now, into: &out)
    wire.releaseInput()
  }

  /// Encrypts one packet into one datagram, ``recordOverhead`` bytes longer at most. `false`: it was not sent,
  /// because the session is not established or the packet is larger than ``maximumPayload``.
  @discardableResult
  public func send(_ packet: [UInt8], into out: inout Output) -> Bool {
    guard isEstablished, !packet.isEmpty, packet.count <= Self.maximumPayload else { return false }
    ErrorQueue.clear()
    let count = packet.withUnsafeBytes { SSL_write(raw, $0.baseAddress, Int32($0.count)) }
    out.datagrams += wire.takeOutput()
    return count == Int32(packet.count)
  }

  public func tick(at now: Instant, into out: inout Output) {
    guard let deadline = nextDeadline, now >= deadline, !isOver else { return }
    ErrorQueue.clear()
    let result = edge_DTLSv1_handle_timeout(raw)
    if result < 0 {
      ErrorQueue.clear()
      finish(.failed(.timedOut), into: &out)
    } else {
      let again = wire.takeOutput()
      if result == 0 || again.isEmpty { out.datagrams += lastFlight } else { keep(again, into: &out) }
    }
    schedule(at: now)
  }

  /// Sends the last handshake flight once more, as it was: the path has changed and it may be lost. A peer that
  /// has it already drops it as a replay.
  public func repeatLastFlight(into out: inout Output) { out.datagrams += lastFlight }

  /// Says goodbye. Nothing can be sent or received after it.
  public func close(into out: inout Output) {
    ErrorQueue.clear()
    if isEstablished { SSL_shutdown(raw) }
    end(into: &out)
  }

  // MARK: Inside

  private func drive(at now: Instant, into out: inout Output) {
    if phase.isHandshaking { shakeHands(into: &out) }
    if isEstablished { readAll(into: &out) }
    schedule(at: now)
  }

  private func shakeHands(into out: inout Output) {
    ErrorQueue.clear()
    let result = SSL_do_handshake(raw)
    keep(wire.takeOutput(), into: &out)
    guard result == 1 else {
      guard SSL_get_error(raw, result) != SSL_ERROR_WANT_READ else { return }
      let faults = ErrorQueue.drain()
      if let refused {
        finish(.failed(.fingerprintMismatch(presented: refused)), into: &out)
      } else {
        finish(.failed(.handshake(faults)), into: &out)
      }
      return
    }
    guard let proof = proof.take() else {
      // Not reachable while every handshake shows certificates; if it ever is, it must not pass.
      finish(.failed(.handshake([])), into: &out)
      return
    }
    phase = .established(proof)
    lastFlight = []
    out.events.append(.established)
  }

  private func readAll(into out: inout Output) {
    while isEstablished {
      ErrorQueue.clear()
      var code = SSL_ERROR_NONE
      let plaintext = [UInt8](unsafeUninitializedCapacity: Self.readSize) { buffer, count in
        let result = SSL_read(raw, buffer.baseAddress, Int32(buffer.count))
        count = max(0, Int(result))
        if result <= 0 { code = SSL_get_error(raw, result) }
      }
      // Answers to the peer's retransmissions.
      out.datagrams += wire.takeOutput()
      switch code {
      case SSL_ERROR_NONE: out.events.append(.received(plaintext))
      case SSL_ERROR_WANT_READ: return
      case SSL_ERROR_ZERO_RETURN:
        SSL_shutdown(raw)
        finish(.closedByPeer, into: &out)
      default: finish(.failed(.broken(ErrorQueue.drain())), into: &out)
      }
    }
  }

  /// Peers keep their packets near ``maximumDatagram``; what is larger comes out in several pieces, which SCTP drops.
  private static let readSize = 2048

  private func keep(_ flight: [[UInt8]], into out: inout Output) {
    guard !flight.isEmpty else { return }
    lastFlight = flight
    out.datagrams += flight
  }

  private func finish(_ event: Event, into out: inout Output) {
    end(into: &out)
    out.events.append(event)
  }

  private func end(into out: inout Output) {
    out.datagrams += wire.takeOutput()
    phase = .over
    lastFlight = []
    nextDeadline = nil
  }

  private func schedule(at now: Instant) {
    var left = timeval()
    guard !isOver, edge_DTLSv1_get_timeout(raw, &left) == 1 else {
      nextDeadline = nil
      return
    }
    let wait = Duration.seconds(Int64(left.tv_sec)) + .microseconds(Int64(left.tv_usec))
    nextDeadline = now + min(wait, timing.maximum)
  }

  // MARK: Called by OpenSSL, only inside the calls above

  private static func of(_ ssl: OpaquePointer?) -> DTLSSession {
    Unmanaged<DTLSSession>.fromOpaque(SSL_get_ex_data(ssl, 0)!).takeUnretainedValue()
  }

  static let verifyThunk: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Int32 = { store, _ in
    let ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx())
    return DTLSSession.of(OpaquePointer(ssl)).verify(X509_STORE_CTX_get0_cert(store), store)
  }

  private static let timerThunk: @convention(c) (OpaquePointer?, UInt32) -> UInt32 = { ssl, last in
    let timing = DTLSSession.of(ssl).timing
    let initial = UInt32(timing.initial.wholeNanoseconds / 1000)
    return last == 0 ? initial : min(last &* 2, UInt32(timing.maximum.wholeNanoseconds / 1000))
  }

  private func verify(_ certificate: OpaquePointer?, _ store: OpaquePointer?) -> Int32 {
    guard let certificate, X509_up_ref(certificate) == 1 else { return 0 }
    let presented = Certificate(owning: certificate).fingerprint
    if let proof = CertificateFingerprint.check(presented, isAmong: signalled) {
      self.proof = consume proof
      return 1
    }
    refused = presented
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED)
    return 0
  }
}
