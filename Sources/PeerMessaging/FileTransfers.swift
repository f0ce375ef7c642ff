import FileTransfer
import LinuxIO
import MSRP

/// Sends one file, or a part of it, as one MSRP message (RFC 5547 §8.7).
public final class FileSender {
  public enum Event {
    /// So many bytes of the file from its start were confirmed.
    case progress(UInt64)
    /// The receiver has it whole, verified and stored.
    case delivered
    /// The receiver, or this end's file, stopped it for good.
    case failed(String)
    /// The session broke: it may go on in another.
    case cut
  }

  public var onEvent: ((Event) -> Void)?
  private let channel: MSRPChannel
  private let source: FileSource
  private let range: Range<UInt64>
  private var messageID = ""
  private var isOver = false
  private var isUnreadable = false

  public init(channel: MSRPChannel, source: FileSource, range: Range<UInt64>) {
    self.channel = channel
    self.source = source
    self.range = range
    channel.onEvent = { [unowned(unsafe) self] in receive($0) }
    channel.onClosed = { [unowned(unsafe) self] in end(.cut) }
    channel.onWants = { [unowned(unsafe) self] _, offset, count in
      let bytes = self.source.read(at: self.range.lowerBound + offset, count: count)
      if bytes == nil { isUnreadable = true }
      return bytes
    }
  }

  /// Set ``onEvent`` before.
  public func start() {
    var message = MSRPSession.Outgoing(
      contentType: source.type, content: .supplied(total: UInt64(range.count), from: 0))
    message.wantsSuccessReport = true
    message.fields = [MSRPHead.Field("Content-Disposition", "attachment")]
    messageID = channel.send(message)
  }

  private func receive(_ event: MSRPSession.Event) {
    guard !isOver else { return }
    switch event {
    case .progress(_, let confirmed): onEvent?(.progress(range.lowerBound + confirmed))
    case .delivered: end(.delivered)
    // Of nothing there is no part a report could tell of; the response came when it was stored.
    case .sent: if range.isEmpty { end(.delivered) }
    case .failed(_, 408), .ended: end(isUnreadable ? .failed(Self.unreadable) : .cut)
    case .failed(_, 413): end(isUnreadable ? .failed(Self.unreadable) : .failed("the receiver cannot store it"))
    case .failed(_, 400): end(.failed("it arrived otherwise than it was announced"))
    case .failed(_, let status): end(.failed(isUnreadable ? Self.unreadable : "the receiver refused it (\(status))"))
    case .began, .piece, .received, .abandoned: break
    }
    if isUnreadable { end(.failed(Self.unreadable)) }
  }

  private static let unreadable = "the file changed or cannot be read any more"

  private func end(_ event: Event) {
    guard !isOver else { return }
    isOver = true
    onEvent?(event)
  }
}

/// Receives one file, or the rest of one, as one MSRP message into a sink that outlives the session.
public final class FileReceiver {
  public enum Event {
    /// So many bytes from the start are written.
    case progress(UInt64)
    case finished(path: String)
    /// Not to be had, or not to be stored: it would not go otherwise another time.
    case failed(String)
    /// The session broke; the sink is good for another.
    case cut
  }

  public var onEvent: ((Event) -> Void)?
  private let channel: MSRPChannel
  private let sink: FileSink
  /// Where in the file the message begins.
  private let base: UInt64
  private var messageID: String?
  private var isOver = false
  private var isCut = false

  /// The message begins where the sink is now.
  public init(channel: MSRPChannel, sink: FileSink) {
    self.channel = channel
    self.sink = sink
    base = sink.next
    channel.onEvent = { [unowned(unsafe) self] in receive($0) }
    channel.onClosed = { [unowned(unsafe) self] in cut() }
    sink.onReport = { [unowned(unsafe) self] in receive($0) }
  }

  /// The session under the channel is gone. A file that is complete is still finished.
  public func cut() {
    guard !isOver, !isCut else { return }
    isCut = true
    channel.close()
    guard !sink.isFinishing else { return }
    sink.onReport = nil
    sink.flush()
    end(.cut)
  }

  private func receive(_ event: MSRPSession.Event) {
    guard !isOver, !isCut else { return }
    switch event {
    case .began(let id, _, let total):
      guard messageID == nil, total.map({ $0 == sink.journal.size - base }) ?? true else {
        return channel.reject(id, 413)
      }
      messageID = id
    case .piece(let id, let offset, let bytes):
      guard id == messageID else { return }
      // In order: a data channel changes none.
      guard base + offset == sink.next, sink.write(bytes) else {
        channel.reject(id, 413)
        return fail("the sender sent something else than it announced")
      }
      if sink.backlog >= FileSink.maximumBacklog { channel.isHolding = true }
    case .received(let id, _, _, _): if id == messageID { sink.finish() }
    case .abandoned(let id): if id == messageID { fail("the sender gave it up") }
    case .ended: cut()
    case .progress, .sent, .delivered, .failed: break
    }
  }

  private func receive(_ report: FileSink.Report) {
    guard !isOver else { return }
    switch report {
    case .written(let count):
      if channel.isHolding, sink.backlog <= FileSink.maximumBacklog / 2 { channel.isHolding = false }
      onEvent?(.progress(count))
    case .finished(let path):
      if let messageID, !isCut { channel.accept(messageID) }
      end(.finished(path: path))
    case .wrongHash: refuse(400, "what came is not the file that was announced")
    case .failed(let error): refuse(413, error.description)
    case .stopped: end(.cut)
    }
  }

  private func refuse(_ status: Int, _ why: String) {
    if let messageID, !isCut { channel.reject(messageID, status) }
    end(.failed(why))
  }

  private func fail(_ why: String) {
    guard !isOver else { return }
    // What was written so far may be of use another time.
    sink.stop()
    end(.failed(why))
  }

  private func end(_ event: Event) {
    guard !isOver else { return }
    isOver = true
    onEvent?(event)
  }
}
