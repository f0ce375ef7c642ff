public import EdgeCore

/// Answers Binding requests as a server without accounts does (RFC 8489 §12). Keeps no state.
///
/// A UDP source address is whatever its sender says, so an answer must be worth nothing to a
/// reflector: for IPv4 it is at most 12 bytes larger than the request (24 for IPv6, whose address
/// takes that much), with no SOFTWARE, no MAPPED-ADDRESS and no reason phrase. Limiting the rate per
/// source is the owner's part.
public enum BindingResponder {
  /// The bytes to send back to `source`, or `nil` when silence is the answer: not STUN, not a
  /// Binding request (responses and indications are never answered), or not worth an answer.
  public static func answer(to datagram: RawSpan, from source: SocketAddress) -> [UInt8]? {
    let request: ReceivedMessage
    do throws(STUNError) {
      request = try ReceivedMessage(parsing: datagram)
    } catch {
      return refusal(of: datagram, error)
    }
    let message = request.message
    guard message.type == MessageType(.request, .binding) else { return nil }
    // RFC 8489 §6.3.1: unknown comprehension-required attributes: 420 with their list. This is also
    // the answer to CHANGE-REQUEST from a server with one address (RFC 5780 §6.1).
    let unknown = message.unknownRequired { $0.isKnownToBinding }
    if !unknown.isEmpty {
      return reply(.failure, to: message, [.errorCode(.unknownAttribute), .unknownAttributes(unknown)], request)
    }
    // RFC 8489 §9.1.3: a MAC without a USERNAME is a bad request whatever the mechanism.
    if request.hasIntegrity && message[.username] == nil && message[.userhash] == nil {
      return reply(.failure, to: message, [.errorCode(.badRequest)], request)
    }
    let mapped = SocketAddress(source.ip.unmapped, port: source.port)
    return reply(
      .success, to: message,
      [.xorAddress(.xorMappedAddress, mapped, transaction: message.transaction)], request)
  }

  /// A Binding request whose header is sound and whose attributes are not gets a 400.
  private static func refusal(of datagram: RawSpan, _ error: STUNError) -> [UInt8]? {
    guard case .malformed(let defect, _) = error, defect != .fingerprintMismatch else { return nil }
    do throws(STUNError) {
      let header = try STUNHeader(parsing: datagram)
      guard header.type == MessageType(.request, .binding) else { return nil }
      return STUNMessage(
        .failure, .binding, transaction: header.transaction, attributes: [.errorCode(.badRequest)]
      ).serialized()
    } catch {
      return nil
    }
  }

  private static func reply(
    _ messageClass: MessageClass, to message: STUNMessage, _ attributes: [Attribute], _ request: ReceivedMessage
  ) -> [UInt8] {
    // RFC 8489 §7: a fingerprint is used only where the client used one.
    STUNMessage(messageClass, .binding, transaction: message.transaction, attributes: attributes)
      .serialized(fingerprint: request.hasFingerprint)
  }
}
