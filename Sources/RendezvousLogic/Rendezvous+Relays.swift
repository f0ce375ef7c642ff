import EdgeCore
import SIP

// What the two ends of a session are told of the relay, and what the relay is told of them.
extension Rendezvous {
  /// The header field that offers a relay to one end of a session: this server's word only.
  public static let relayField = "X-Edge-Relay"

  /// Addresses one message may add to a session: descriptions of honest clients have a dozen.
  private static let maximumAddresses = 32

  /// Gives the end of a session at `flow` its relays, in the INVITE, in the 100 that says it is on its way, or in the
  /// answer; inside a session too, where another path is looked for, because the relay may be what has died. What the other end says of relays is taken out. Credentials go over an encrypted hop, or inside this
  /// machine.
  func offerRelays(in message: inout Message, of request: Message, on flow: Flow) {
    message.removeAll(.other(Self.relayField))
    guard request.method == .invite, let callID = request.callID else { return }
    if let status = message.status, !status.isSuccess, status.value != 100 { return }
    guard flow.transport == .tls || flow.remote.ip.unmapped.isLoopback else { return }
    for relay in environment.relays(relaySession(callID)) { message.append(.other(Self.relayField), relay) }
  }

  /// Tells the relay which addresses an end of a session has, as the message from `flow` says: its candidates
  /// (RFC 8839 §5.1), and where the message itself came from.
  func noteCandidates(in message: Message, of request: Message, from flow: Flow) {
    guard let callID = request.callID, !message.body.isEmpty else { return }
    switch request.method {
    case .invite: break
    case .info, .update: guard sessions.uses(flow, callID: callID) else { return }
    default: return
    }
    var addresses = [flow.remote.ip.unmapped]
    for line in message.body.split(whereSeparator: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }) {
      guard addresses.count < Self.maximumAddresses else { break }
      guard let address = Self.candidateAddress(line), !addresses.contains(address) else { continue }
      addresses.append(address)
    }
    environment.signalled(relaySession(callID), addresses)
  }

  private func relaySession(_ callID: String) -> String { mark(["relay", callID]) }

  /// `a=candidate:FOUNDATION COMPONENT TRANSPORT PRIORITY ADDRESS PORT typ ...`
  private static func candidateAddress(_ line: ArraySlice<UInt8>) -> IPAddress? {
    guard line.starts(with: Array("a=candidate:".utf8)) else { return nil }
    let words = line.split(separator: UInt8(ascii: " "), maxSplits: 5, omittingEmptySubsequences: true)
    guard words.count == 6, words[4].count <= 45 else { return nil }
    return IPAddress(String(decoding: words[4], as: UTF8.self))
  }
}
