import EdgeCore
import FileTransfer
import LinuxIO
import MSRP
import PeerMessaging
import PeerSession
import StatusModel

/// One call for a file, a listing or a chat.
final class FileCall {
  enum Kind {
    case sends(FileSource, Range<UInt64>)
    case receives(FileSink)
    /// The caller did not hear that its file is here already.
    case confirms
    case chat
  }

  let call: PeerCall
  /// What was called: a serial, or the node's account.
  let called: String
  /// What the call is about, for the log.
  let subject: String
  /// Unix seconds.
  let since: Int64
  var kind: Kind?
  /// Reads the file to be sent, before it is promised.
  var hasher: FileHasher?
  var channel: MSRPChannel?
  var sender: FileSender?
  var receiver: FileReceiver?
  /// Bytes of the file that were confirmed.
  var sentBytes: UInt64 = 0

  init(call: PeerCall, called: String, subject: String, since: Int64) {
    self.call = call
    self.called = called
    self.subject = subject
    self.since = since
  }

  var sink: FileSink? {
    if case .receives(let sink) = kind { return sink }
    return nil
  }

  /// Lets go of everything but the sink.
  func close() {
    hasher?.cancel()
    hasher = nil
    sender?.onEvent = nil
    receiver?.cut()
    channel?.close()
    channel = nil
  }

  var status: NodeStatus.Session {
    let path = call.peer.path
    return NodeStatus.Session(
      viewer: call.name, serial: called, path: path.flatMap { NodeStatus.Path(rawValue: $0.kind.text) },
      remote: path?.remote.description, roundTrip: path?.roundTrip, sentBytes: Int64(clamping: sentBytes),
      framesSent: 0, framesDropped: 0, since: since)
  }
}
