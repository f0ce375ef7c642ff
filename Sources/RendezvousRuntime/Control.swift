import EdgeCore
import LinuxIO
import StatusModel

/// One line to the control socket.
enum ControlRequest: Hashable, Sendable {
  case status(json: Bool)
  case store(StoreRequest)

  var line: [UInt8] {
    let json: JSONValue
    switch self {
    case .status(let asJSON): json = .object([.init("command", .string("status")), .init("json", .bool(asJSON))])
    case .store(let request): json = request.json
    }
    return Array(JSONWriter.text(json).utf8) + [0x0A]
  }

  init?(line: [UInt8]) {
    guard let json = try? JSONValue(bytes: line) else { return nil }
    if json["command"]?.text == "status" {
      self = .status(json: json["json"]?.boolean ?? false)
    } else if let request = StoreRequest(json) {
      self = .store(request)
    } else {
      return nil
    }
  }
}

/// The unix socket by which the command line speaks to a running server: one line in, the exit code and the text out.
final class ControlServer {
  private static let maximumLine = 65_536
  private static let maximumConnections = 64
  private static let patience: Duration = .seconds(10)

  private let listener: UnixListener
  private let reactor: Reactor
  private let answer: (ControlRequest) -> Reply
  private var open = 0

  init(
    reactor: Reactor, path: String, answer: @escaping (ControlRequest) -> Reply
  ) throws(UnixListener.Failure) {
    self.reactor = reactor
    self.answer = answer
    listener = try UnixListener(reactor: reactor, path: path)
    listener.onAccept = { [unowned self] in accept($0) }
  }

  func close() { listener.close() }

  private func accept(_ connection: UnixConnection) {
    // The file's mode lets in its owner and root; this holds whatever became of the mode.
    let isOwn = connection.peerUserID == 0 || connection.peerUserID == ProcessFacts.userID
    guard isOwn, open < Self.maximumConnections else { return connection.close() }
    open += 1
    var isDone = false
    func done() {
      if !isDone { open -= 1 }
      isDone = true
    }
    var line: [UInt8] = []
    _ = reactor.schedule(after: Self.patience) { [unowned connection] in
      guard !isDone else { return }
      done()
      connection.close()
    }
    connection.onClosed = { _ in done() }
    connection.onBytes = { [unowned self, unowned connection] bytes in
      line += [UInt8](copying: bytes)
      guard let end = line.firstIndex(of: 0x0A) else {
        if line.count > Self.maximumLine {
          done()
          connection.close()
        }
        return
      }
      let reply =
        ControlRequest(line: Array(line[..<end])).map(answer)
        ?? Reply(code: .usage, text: "the running server does not know this command\n")
      connection.send(Array("\(reply.code.rawValue)\n\(reply.text)".utf8))
      done()
      connection.closeAfterSending()
    }
  }
}

/// The command line's end of the control socket.
enum ControlClient {
  enum Failure: Error {
    /// Nobody listens there.
    case noServer
    case failed(String)
  }

  private static let maximumReply = 16 << 20

  /// Asks and waits for the whole answer.
  static func ask(_ request: ControlRequest, path: String) throws(Failure) -> Reply {
    var received: [UInt8] = []
    var reason: CloseReason?
    var timedOut = false
    do throws(SystemError) {
      let reactor = try Reactor()
      let connection = UnixConnection.connect(reactor: reactor, path: path)
      connection.onConnected = { connection.send(request.line) }
      connection.onBytes = { bytes in
        received += [UInt8](copying: bytes)
        if received.count > maximumReply { reactor.stop() }
      }
      connection.onClosed = { why in
        reason = why
        reactor.stop()
      }
      _ = reactor.schedule(after: .seconds(30)) {
        timedOut = true
        reactor.stop()
      }
      try reactor.run()
      connection.close()
    } catch {
      throw .failed("\(error)")
    }
    guard let end = received.firstIndex(of: 0x0A) else {
      if timedOut { throw .failed("the server does not answer on \(path)") }
      switch reason {
      case .refused, .notFound, .none: throw .noServer
      case .notAllowed:
        throw .failed("not allowed to open \(path): run this as the server's user, or as root")
      case .some(let reason): throw .failed("\(path): \(reason)")
      }
    }
    guard let code = Int32(String(decoding: received[..<end], as: UTF8.self)).flatMap({ ExitCode(rawValue: $0) }) else {
      throw .failed("\(path) is not the control socket of a server")
    }
    return Reply(code: code, text: String(decoding: received[(end + 1)...], as: UTF8.self))
  }
}
