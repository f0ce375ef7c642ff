import CLinux
import EdgeCore

/// Takes connections off a listening socket, for ``TCPListener`` and ``UnixListener``.
final class Acceptor {
  private let reactor: Reactor
  private var descriptor: FileDescriptor?
  private var token: Reactor.Token?
  private var resume: Reactor.TimerToken?
  private let onAccept: (consuming FileDescriptor) -> Void
  private let onFailure: () -> Void

  /// Connections of one event before others get their turn.
  private static let perEvent = 32
  /// How long to leave new connections waiting when descriptors or memory ran out.
  private static let pause = Duration.milliseconds(250)

  init(
    reactor: Reactor, descriptor: consuming FileDescriptor, onFailure: @escaping () -> Void,
    onAccept: @escaping (consuming FileDescriptor) -> Void
  ) throws(SystemError) {
    self.reactor = reactor
    self.onFailure = onFailure
    self.onAccept = onAccept
    let raw = descriptor.raw
    self.descriptor = consume descriptor
    token = try reactor.add(raw, interest: .read) { _ in self.accept() }
  }

  func close() {
    if let token { reactor.remove(token) }
    if let resume { reactor.cancel(resume) }
    token = nil
    resume = nil
    descriptor = nil
  }

  private func accept() {
    for _ in 0..<Self.perEvent {
      guard let listener = descriptor?.raw else { return }
      do throws(SystemError) {
        let flags = Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let raw = try systemCall("accept4") { edge_accept4(listener, nil, nil, flags) }
        onAccept(FileDescriptor(owning: raw))
      } catch {
        switch error.errno {
        case EAGAIN: return
        case EMFILE, ENFILE, ENOBUFS, ENOMEM:
          onFailure()
          wait()
          return
        // accept(2): errors pending on the new socket are reported here, and concern only that one.
        default: continue
        }
      }
    }
  }

  /// The listener stays ready while connections wait: asking again at once would spin.
  private func wait() {
    guard let token else { return }
    reactor.update(token, interest: [])
    resume = reactor.schedule(after: Self.pause) {
      self.resume = nil
      if let token = self.token { self.reactor.update(token, interest: .read) }
    }
  }
}
