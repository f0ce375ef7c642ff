import EdgeCore
import MSRP
import SDP
import SIP
import Uplink
public import UserAgent

/// Takes calls that bring messages over MSRP: those of the server's offline service, or of anybody this end can
/// connect to.
public final class MessageReceiver {
  private let dialer: MSRPDialer
  /// Keeps a message: the answer is whether it is in safety.
  private let take: (IncomingMessage) -> Bool
  private var streams: [CallHandle: MSRPStream] = [:]

  /// Longest message taken, in bytes.
  private static let maximumMessage = 8 << 20
  private static let maximumCalls = 4

  public init(_ dialer: MSRPDialer, take: @escaping (IncomingMessage) -> Bool) {
    self.dialer = dialer
    self.take = take
  }

  /// Messages may be on their way over a call.
  public var isBusy: Bool { !streams.isEmpty }

  /// Whether the call is one for messages; it is answered then.
  public func receive(_ handle: CallHandle, _ call: IncomingCall) -> Bool {
    let body = call.body.span
    guard let offer = unsafe try? SessionDescription(parsing: body.bytes),
      offer.media.contains(where: { $0.kind == "message" })
    else { return false }
    let uplink = dialer.uplink
    guard streams.count < Self.maximumCalls else {
      uplink.perform { $0.refuse(handle, 486, retryAfter: 5, at: $1, into: &$2) }
      return true
    }
    var answer = SessionDescription(origin: .init(sessionID: "1", sessionVersion: 1))
    var chosen: (MSRPDescription, MSRPDialer.Place)?
    for section in offer.media {
      if chosen == nil, let peer = usable(section) {
        let place = MSRPDialer.Place(uri: dialer.newURI())
        chosen = (peer, place)
        answer.media.append(dialer.description(place).media)
      } else {
        answer.media.append(
          .init(kind: section.kind, port: 0, transport: section.transport, formats: section.formats))
      }
    }
    guard let (peer, place) = chosen else {
      uplink.perform { $0.refuse(handle, 488, at: $1, into: &$2) }
      return true
    }
    let text = Array(answer.serialized.utf8)
    uplink.perform { $0.accept(handle, contentType: "application/sdp", body: text, at: $1, into: &$2) }
    connect(handle, call.caller, peer, place)
    return true
  }

  /// RFC 6135: this end must be allowed to open the connection; and it must be as protected as the link is.
  private func usable(_ section: SessionDescription.Media) -> MSRPDescription? {
    guard MSRPDescription.isMSRP(section), section.port != 0 else { return nil }
    let isSecure = section.transport == "TCP/TLS/MSRP"
    guard isSecure == dialer.uplink.isSecure,
      let peer = MSRPDescription(attributes: section.attributes, isSecure: isSecure, port: section.port),
      peer.setup == .actpass || peer.setup == .passive
    else { return nil }
    return peer
  }

  private func connect(_ handle: CallHandle, _ caller: String, _ peer: MSRPDescription, _ place: MSRPDialer.Place) {
    var configuration = MSRPSession.Configuration()
    configuration.delivery = .whole(maximum: Self.maximumMessage)
    configuration.ownerConfirms = true
    dialer.connect(peer, from: place, configuration) { [self] stream, _ in
      guard let stream else {
        dialer.uplink.perform { $0.hangUp(handle, at: $1, into: &$2) }
        return
      }
      streams[handle] = stream
      stream.onEvent = { [self] event in
        guard case .received(let id, let type, let body, _) = event else { return }
        let message = IncomingMessage(sender: caller, id: id, contentType: type, body: body)
        if take(message) { stream.accept(id) } else { stream.reject(id, 408) }
      }
      stream.onClosed = { [self] _ in
        guard streams.removeValue(forKey: handle) != nil else { return }
        dialer.uplink.perform { $0.hangUp(handle, at: $1, into: &$2) }
      }
    }
  }

  /// Whether the call was one of these.
  @discardableResult
  public func ended(_ handle: CallHandle) -> Bool {
    guard let stream = streams.removeValue(forKey: handle) else { return false }
    stream.close()
    return true
  }
}
