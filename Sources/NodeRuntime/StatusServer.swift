import EdgeCore
import LinuxIO
import StatusModel

/// Answers `edge status` on a unix socket that only this program's user may open.
///
/// The client sends one line, `status`; the answer is one line of JSON, and the end.
final class StatusServer {
  private let reactor: Reactor
  private let listener: UnixListener
  private let answer: () -> [UInt8]
  private var open = 0

  /// A client has this long to say what it wants.
  private static let deadline = Duration.seconds(5)
  private static let maximumRequestBytes = 64
  private static let maximumClients = 32

  init(reactor: Reactor, path: String, answer: @escaping () -> [UInt8]) throws(UnixListener.Failure) {
    self.reactor = reactor
    self.answer = answer
    listener = try UnixListener(reactor: reactor, path: path)
    listener.onAccept = { [unowned(unsafe) self] in accept($0) }
  }

  func close() {
    listener.onAccept = nil
    listener.close()
  }

  private func accept(_ connection: UnixConnection) {
    guard open < Self.maximumClients else { return connection.close() }
    open += 1
    var request: [UInt8] = []
    var isDone = false
    let finish = { [self] in
      guard !isDone else { return }
      isDone = true
      open -= 1
    }
    let timer = reactor.schedule(after: Self.deadline) {
      connection.close()
      finish()
    }
    connection.onClosed = { [self] _ in
      reactor.cancel(timer)
      finish()
    }
    connection.onBytes = { [self] bytes in
      guard !isDone else { return }
      request += [UInt8](copying: bytes)
      let line = request.prefix { $0 != 0x0A }
      guard line.count < request.count || request.count > Self.maximumRequestBytes else { return }
      reactor.cancel(timer)
      if line.elementsEqual("status".utf8) {
        connection.send(answer() + [0x0A])
      } else {
        connection.send(Array("{\"error\":\"unknown request\"}\n".utf8))
      }
      finish()
      connection.closeAfterSending()
    }
  }
}
