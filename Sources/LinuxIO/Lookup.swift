import CLinux
import EdgeCore

/// One name, asked of the name servers: every candidate name in turn, of every server in turn, both kinds of address at
/// once.
final class Lookup {
  private let reactor: Reactor
  private let name: String
  private let files: ResolverFiles
  private var finish: NameResolver.Completion?

  private var candidates: [String]
  private var labels: [[UInt8]] = []
  /// Servers asked about this candidate so far, over all rounds.
  private var asked = 0
  private var questions: [Question] = []
  private var socket: UDPSocket?
  private var timer: Reactor.TimerToken?
  private var sawRefusal = false
  private var sawName = false

  private struct Question {
    let type: DNSMessage.RecordType
    let id: UInt16
    var answer: DNSMessage.Answer?
    var stream: TCPConnection?
  }

  /// With one kind of address known, the other is waited for no longer than this (RFC 8305 §3 has 50 ms; name
  /// servers on slow lines take longer).
  private static let patience = Duration.milliseconds(300)
  /// RFC 1035 §4.2.2: two bytes of length lead.
  private static let maxAnswerBytes = 65535

  init(reactor: Reactor, name: String, files: ResolverFiles, finish: @escaping NameResolver.Completion) {
    self.reactor = reactor
    self.name = name
    self.files = files
    self.finish = finish
    candidates = files.candidates(name)
  }

  func begin() { nextCandidate() }

  func cancel() {
    finish = nil
    release()
  }

  private var server: SocketAddress { files.servers[asked % files.servers.count] }

  private func nextCandidate() {
    guard finish != nil else { return }
    while let candidate = candidates.first {
      candidates.removeFirst()
      // With a search domain behind it a name may become too long.
      guard let labels = DNSMessage.labels(candidate) else { continue }
      self.labels = labels
      asked = 0
      ask()
      return
    }
    end(.failure(sawName ? .noAddress(name) : .notFound(name)))
  }

  private func nextServer() {
    asked += 1
    guard asked < files.servers.count * files.attempts else {
      end(.failure(sawRefusal ? .refused(name, servers: files.servers) : .noAnswer(name, servers: files.servers)))
      return
    }
    ask()
  }

  /// Asks one server for both kinds. Each time from another port and with other numbers: what makes answers hard to forge.
  private func ask() {
    release()
    questions = [.aaaa, .a].map { Question(type: $0, id: Self.randomID()) }
    let server = server
    do throws(SystemError) {
      let socket = try UDPSocket(reactor: reactor, bind: SocketAddress(server.ip.isV4 ? .anyV4 : .anyV6, port: 0))
      socket.onDatagram = { bytes, source, _ in
        if source == server { self.receive([UInt8](copying: bytes)) }
      }
      self.socket = socket
      for question in questions {
        socket.send(
          Datagram(
            destination: server, bytes: DNSMessage.query(id: question.id, labels: labels, type: question.type)))
      }
    } catch {
      // Out of descriptors or of this family: the wait is the back-off.
    }
    timer = reactor.schedule(after: files.timeout) { self.timeOut() }
  }

  private func receive(_ message: [UInt8]) {
    for index in questions.indices where questions[index].answer == nil && questions[index].stream == nil {
      let question = questions[index]
      guard let answer = DNSMessage.answer(message, id: question.id, labels: labels, type: question.type) else {
        continue
      }
      if answer == .truncated {
        askByStream(index)
      } else {
        questions[index].answer = answer
        judge()
      }
      return
    }
  }

  private func askByStream(_ index: Int) {
    let question = questions[index]
    let stream = TCPConnection.connect(reactor: reactor, to: server)
    questions[index].stream = stream
    let query = DNSMessage.query(id: question.id, labels: labels, type: question.type)
    stream.send([UInt8(query.count >> 8), UInt8(query.count & 255)] + query)
    var received: [UInt8] = []
    stream.onBytes = { bytes in
      received += [UInt8](copying: bytes)
      guard received.count >= 2 else { return }
      let length = Int(received[0]) << 8 | Int(received[1])
      guard received.count >= 2 + length else { return }
      stream.close()
      let message = Array(received[2..<2 + length])
      self.settle(
        index, question.id, DNSMessage.answer(message, id: question.id, labels: self.labels, type: question.type))
    }
    stream.onClosed = { _ in self.settle(index, question.id, nil) }
  }

  private func settle(_ index: Int, _ id: UInt16, _ answer: DNSMessage.Answer?) {
    guard index < questions.count, questions[index].id == id else { return }
    // Nothing usable, even over TCP.
    questions[index].answer = answer == nil || answer == .truncated ? .refused : answer
    judge()
  }

  private func judge() {
    let answers = questions.compactMap { $0.answer }
    if answers.count == questions.count {
      conclude()
    } else if !addresses.isEmpty {
      // Only the other kind is missing.
      if let timer { reactor.cancel(timer) }
      timer = reactor.schedule(after: Self.patience) { self.conclude() }
    }
  }

  private var addresses: [IPAddress] {
    var found: [IPAddress] = []
    for question in questions {
      if case .addresses(let addresses)? = question.answer { found += addresses.prefix(16) }
    }
    return found
  }

  private func timeOut() { addresses.isEmpty && !isDenied ? nextServer() : conclude() }

  /// A server said that the name does not exist: that holds for both kinds.
  private var isDenied: Bool { questions.contains { $0.answer == .noSuchName } }

  private func conclude() {
    let found = addresses
    if !found.isEmpty {
      end(.success(found))
    } else if isDenied {
      nextCandidate()
    } else if questions.allSatisfy({ $0.answer == .addresses([]) }) {
      sawName = true
      nextCandidate()
    } else {
      sawRefusal = true
      nextServer()
    }
  }

  private func end(_ result: Result<[IPAddress], NameResolver.Failure>) {
    release()
    let finish = finish
    self.finish = nil
    finish?(result)
  }

  private func release() {
    if let timer { reactor.cancel(timer) }
    timer = nil
    socket?.close()
    socket = nil
    for question in questions { question.stream?.close() }
    questions = []
  }

  private static func randomID() -> UInt16 {
    var id: UInt16 = 0
    // Fails only before the kernel's pool is ready, and then by waiting.
    _ = getrandom(&id, 2, 0)
    return id
  }
}
