import CLinux

/// Lines of standard input, as they come: from a terminal, a pipe or a file.
public final class LineInput {
  public var onLine: ((String) -> Void)?
  public var onEnd: (() -> Void)?

  private let reactor: Reactor
  private var token: Reactor.Token?
  private var pending: [UInt8] = []
  private var hasEnded = false

  /// Longer lines are cut here.
  private static let maximumLine = 64 << 10

  public init(reactor: Reactor) { self.reactor = reactor }

  public func start() {
    do throws(SystemError) {
      token = try reactor.add(STDIN_FILENO, interest: .read) { [unowned(unsafe) self] _ in read() }
    } catch {
      // A file is always ready, and not a thing to wait for.
      reactor.enqueue(.bulk) { [self] in readOn() }
    }
  }

  public func close() {
    hasEnded = true
    if let token { reactor.remove(token) }
    token = nil
  }

  private func readOn() {
    guard !hasEnded else { return }
    read()
    if !hasEnded { reactor.enqueue(.bulk) { [self] in readOn() } }
  }

  private func read() {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = bytes.withUnsafeMutableBytes { CLinux.read(STDIN_FILENO, $0.baseAddress, 4096) }
    if count < 0, edge_errno() == EAGAIN || edge_errno() == EINTR { return }
    guard count > 0 else {
      let rest = pending
      pending = []
      close()
      if !rest.isEmpty { onLine?(String(decoding: rest, as: UTF8.self)) }
      onEnd?()
      return
    }
    pending += bytes[..<count]
    while !hasEnded, let end = pending.firstIndex(of: 0x0A) ?? (pending.count > Self.maximumLine ? pending.count : nil)
    {
      let line = String(decoding: pending[..<end], as: UTF8.self)
      pending.removeFirst(min(end + 1, pending.count))
      onLine?(line)
    }
  }
}
