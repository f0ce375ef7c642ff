public import EdgeCore

/// A session with the framer of the one connection or data channel that is its own.
public struct MSRPLink {
  public var session: MSRPSession
  private var framer = MSRPFramer()

  public init(_ session: MSRPSession) { self.session = session }

  /// Bytes of the connection, or one message of the data channel.
  ///
  /// `false` when they are no MSRP: the session has ended, close the connection.
  public mutating func receive(_ bytes: RawSpan, at now: Instant, into out: inout MSRPSession.Output) -> Bool {
    framer.append(bytes)
    do throws(MSRPFramer.FramingError) {
      while let item = try framer.next() { session.receive(item, at: now, into: &out) }
      return true
    } catch {
      session.end(400, into: &out)
      return false
    }
  }
}
