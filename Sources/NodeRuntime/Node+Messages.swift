import Config
import EdgeCore
import LinuxIO
import MSRPTransport
import SDP
import SIP
import Uplink
import UserAgent

/// Messages to the node's account: kept in its state directory and told in the log.
extension Node {
  /// Called once, before the link is started.
  func subscribeToMessages() {
    do throws(FileError) {
      inbox = try Inbox(directory: configuration.node.stateDirectory)
    } catch {
      return log.error("messages.cannot-be-kept", ("why", error.description))
    }
    largeMessages = MessageReceiver(
      MSRPDialer(uplink: uplink, reactor: reactor, resolver: resolver), take: { [unowned(unsafe) self] in keep($0) })
    _ = uplink.perform { $0.subscribeToMessages(at: $1, into: &$2) }
  }

  func receive(_ handle: MessageHandle, _ message: IncomingMessage) {
    let status: StatusCode = inbox == nil ? 480 : keep(message) ? 200 : 500
    uplink.perform { $0.answerMessage(handle, status, at: $1, into: &$2) }
  }

  /// Keeps a message or a text of a chat, if that can be.
  func keep(_ message: IncomingMessage) -> Bool {
    guard let inbox else { return false }
    switch inbox.take(message, now: reactor.wallClockSeconds, domain: configuration.rendezvous.domain) {
    case .taken(let entry):
      // What it says is for who opens the inbox, not for the journal.
      log.notice(
        "message.received", ("from", entry.from), ("id", entry.id), ("bytes", "\(entry.text.utf8.count)"))
    case .known: break
    case .failed(let why):
      log.error("messages.cannot-be-kept", ("why", why))
      return false
    }
    return true
  }

  /// Whether the call is for a file or a chat; then it is taken care of.
  func isForFiles(_ handle: CallHandle, _ call: IncomingCall) -> Bool {
    guard call.contentType == "application/sdp",
      let offer = try? DataChannelDescription(parsing: call.body.span.bytes), !offer.channels.isEmpty,
      call.serial == configuration.rendezvous.account
        || feeds.contains(where: { $0.configuration.serial == call.serial })
        || configuration.resources.contains(where: { $0.serial == call.serial })
    else { return false }
    guard hasRoom else {
      refuse(handle, call, 486, "too many viewers", retryAfter: 10)
      return true
    }
    return fileService.take(handle, call, offer, peerConfiguration)
  }
}
