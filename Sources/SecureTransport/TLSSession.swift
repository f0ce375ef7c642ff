internal import COpenSSL
internal import EdgeCore

/// One TLS connection, without a socket (TLS 1.2, RFC 5246; TLS 1.3, RFC 8446).
///
///     bytes from TCP ──receive──▶ ┌────────────┐ ──Output.events──▶ the owner
///     bytes to TCP  ◀─ciphertext─ │ TLSSession │ ◀──send, close──── the owner
///                                 └────────────┘
///
/// A client checks the server's chain and name before ``Event/established``; no byte of the owner leaves before.
public final class TLSSession {
  public enum Event: Hashable, Sendable {
    /// The handshake is done, and for a client the server is who it should be.
    case established
    case received([UInt8])
    /// The peer has said goodbye (RFC 8446 §6.1); it sends nothing more.
    case closedByPeer
    /// Over. What is in ``Output/ciphertext`` (an alert) may still be sent.
    case failed(TLSFailure)
  }

  public struct Output {
    /// To be written to the TCP connection, in order.
    public var ciphertext: [UInt8] = []
    public var events: [Event] = []

    public init() {}
  }

  private enum Phase { case handshaking, established, over }

  /// The largest TLS record's payload (RFC 8446 §5.1).
  private static let maximumRecord = 16_384
  /// What an owner may queue before the handshake is done.
  private static let maximumPending = 65_536

  fileprivate let raw: OpaquePointer
  private let wire = WireBIO(.stream)
  private let serverName: String
  private let wallClock: Int64
  private var phase = Phase.handshaking
  private var pending: [UInt8] = []
  /// Why the server's certificate was refused, if it was.
  private var refusal: TLSFailure?

  /// A client of the server called `serverName`: the host name or IP address the owner was configured with,
  /// never one that came out of the DNS. `wallClock` is the time, in seconds since 1970, the certificate is judged by.
  public convenience init(client context: TLSContext, serverName: String, wallClock: Int64) throws(SecureTransportError)
  {
    precondition(context.role == .client)
    try self.init(context, serverName: serverName, wallClock: wallClock)
    let parameters = SSL_get0_param(raw)
    X509_VERIFY_PARAM_set_time(parameters, Int(wallClock))
    X509_VERIFY_PARAM_set_hostflags(
      parameters, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT))
    var isNameSet = false
    if let address = IPAddress(serverName) {
      isNameSet = X509_VERIFY_PARAM_set1_ip_asc(parameters, "\(address)") == 1
    } else {
      // RFC 6066 §3: a host name, never an address.
      isNameSet =
        !serverName.isEmpty && X509_VERIFY_PARAM_set1_host(parameters, serverName, 0) == 1
        && edge_SSL_set_tlsext_host_name(raw, serverName) == 1
    }
    guard isNameSet else {
      throw .refused(doing: "use \"\(serverName)\" as a server's name", faults: ErrorQueue.drain())
    }
    SSL_set_connect_state(raw)
  }

  public convenience init(server context: TLSContext) throws(SecureTransportError) {
    precondition(context.role == .server)
    try self.init(context, serverName: "", wallClock: 0)
    SSL_set_accept_state(raw)
  }

  private init(_ context: TLSContext, serverName: String, wallClock: Int64) throws(SecureTransportError) {
    ErrorQueue.clear()
    guard let raw = SSL_new(context.raw) else {
      throw .refused(doing: "start a TLS session", faults: ErrorQueue.drain())
    }
    self.raw = raw
    self.serverName = serverName
    self.wallClock = wallClock
    // Both directions share the one BIO, which OpenSSL frees with the session.
    SSL_set_bio(raw, wire.raw, wire.raw)
    SSL_set_ex_data(raw, 0, Unmanaged.passUnretained(self).toOpaque())
  }

  deinit { SSL_free(raw) }

  public var isEstablished: Bool { phase == .established }

  /// Sends a client's first message. A server waits for it and needs no start.
  public func start(into out: inout Output) { drive(into: &out) }

  /// Takes bytes from the TCP connection, cut anywhere.
  public func receive(_ bytes: [UInt8], into out: inout Output) {
    guard phase != .over else { return }
    wire.receive(bytes)
    drive(into: &out)
    wire.releaseInput()
  }

  /// Encrypts `bytes`. Before the handshake is done they are kept, up to 64 KiB; the answer is whether they were taken.
  @discardableResult
  public func send(_ bytes: [UInt8], into out: inout Output) -> Bool {
    switch phase {
    case .over: return false
    case .handshaking:
      guard pending.count + bytes.count <= Self.maximumPending else { return false }
      pending += bytes
      return true
    case .established:
      write(bytes, into: &out)
      return phase == .established
    }
  }

  /// Says goodbye. Nothing can be sent or received after it.
  public func close(into out: inout Output) {
    guard phase != .over else { return }
    ErrorQueue.clear()
    if phase == .established { SSL_shutdown(raw) }
    phase = .over
    collect(into: &out)
  }

  // MARK: Inside

  private func drive(into out: inout Output) {
    if phase == .handshaking {
      ErrorQueue.clear()
      let result = SSL_do_handshake(raw)
      if result == 1 {
        phase = .established
        out.events.append(.established)
        let waiting = pending
        pending = []
        if !waiting.isEmpty { write(waiting, into: &out) }
      } else if SSL_get_error(raw, result) != SSL_ERROR_WANT_READ {
        fail(into: &out)
      }
    }
    if phase == .established { readAll(into: &out) }
    collect(into: &out)
  }

  private func readAll(into out: inout Output) {
    while phase == .established {
      ErrorQueue.clear()
      var code = SSL_ERROR_NONE
      let plaintext = [UInt8](unsafeUninitializedCapacity: Self.maximumRecord) { buffer, count in
        let result = SSL_read(raw, buffer.baseAddress, Int32(buffer.count))
        count = max(0, Int(result))
        if result <= 0 { code = SSL_get_error(raw, result) }
      }
      switch code {
      case SSL_ERROR_NONE: out.events.append(.received([UInt8](plaintext[...])))
      case SSL_ERROR_WANT_READ: return
      case SSL_ERROR_ZERO_RETURN:
        SSL_shutdown(raw)
        phase = .over
        out.events.append(.closedByPeer)
      default: fail(into: &out)
      }
    }
  }

  private func write(_ bytes: [UInt8], into out: inout Output) {
    var start = 0
    while start < bytes.count {
      ErrorQueue.clear()
      let count = bytes.withUnsafeBytes {
        SSL_write(raw, $0.baseAddress! + start, Int32(min($0.count - start, 1 << 20)))
      }
      guard count > 0 else {
        fail(into: &out)
        break
      }
      start += Int(count)
    }
    collect(into: &out)
  }

  private func fail(into out: inout Output) {
    let faults = ErrorQueue.drain()
    let wasEstablished = phase == .established
    phase = .over
    if wasEstablished {
      out.events.append(.failed(.broken(faults)))
    } else if let refusal {
      out.events.append(.failed(refusal))
    } else {
      out.events.append(.failed(.handshake(faults)))
    }
  }

  private func collect(into out: inout Output) {
    for chunk in wire.takeOutput() {
      if out.ciphertext.isEmpty { out.ciphertext = chunk } else { out.ciphertext += chunk }
    }
  }

  // MARK: Called by OpenSSL, only inside the calls above

  /// The ordinary verification, with the reason of a failure kept: OpenSSL forgets the certificate it refuses.
  static let verifyThunk: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Int32 = { store, _ in
    let result = X509_verify_cert(store)
    guard result <= 0 else { return 1 }
    let ssl = OpaquePointer(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()))
    let session = Unmanaged<TLSSession>.fromOpaque(SSL_get_ex_data(ssl, 0)!).takeUnretainedValue()
    session.refusal = TLSFailure(verifying: store, serverName: session.serverName, clock: session.wallClock)
    return 0
  }
}

extension TLSSession {
  /// How long the server's certificate is good; `nil` before the handshake, and on a server.
  public var serverValidity: Validity? {
    guard let certificate = SSL_get0_peer_certificate(raw) else { return nil }
    return Validity(
      notBefore: TLSFailure.seconds(X509_get0_notBefore(certificate)),
      notAfter: TLSFailure.seconds(X509_get0_notAfter(certificate)))
  }
}
