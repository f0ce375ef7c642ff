import LinuxIO
import RendezvousLogic
import Storage

extension MessageBox {
  /// Keeps messages in the database. A failure is logged, and the message counts as not taken or not given.
  static func keeping(in store: MessageStore, log: Log) -> MessageBox {
    func attempt<Result>(_ fallback: Result, _ body: () throws(StorageError) -> Result) -> Result {
      do throws(StorageError) {
        return try body()
      } catch {
        log.error("database", ("error", "\(error)"))
        return fallback
      }
    }
    return MessageBox(
      store: { message in
        attempt(.unavailable) { () throws(StorageError) in
          let kept = MessageStore.Message(
            receiver: message.receiver, sender: message.sender, identity: message.identity,
            contentType: message.contentType, body: message.body, accepted: MonotonicClock.wallClockSeconds)
          switch try store.store(kept) {
          case .stored(let sequence): return .stored(sequence)
          case .known(let sequence): return .known(sequence)
          case .refused: return .full
          }
        }
      },
      next: { account, terminal in
        attempt(nil) { () throws(StorageError) in
          try store.next(for: account, terminal: terminal, now: MonotonicClock.wallClockSeconds).map { message in
            StoredMessage(
              sequence: message.sequence, receiver: message.receiver, sender: message.sender,
              identity: message.identity, contentType: message.contentType, body: message.body,
              accepted: message.accepted)
          }
        }
      },
      delivered: { account, terminal, sequence in
        attempt(()) { () throws(StorageError) in
          try store.delivered(sequence, to: account, terminal: terminal, now: MonotonicClock.wallClockSeconds)
        }
      })
  }
}
