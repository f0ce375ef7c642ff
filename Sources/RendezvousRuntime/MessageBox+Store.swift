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
      commit: { messages, deliveries in
        attempt(nil) { () throws(StorageError) in
          let now = MonotonicClock.wallClockSeconds
          let verdicts = try store.commit(
            messages.map { message in
              MessageStore.Message(
                receiver: message.receiver, topic: message.topic, sender: message.sender,
                identity: message.identity, contentType: message.contentType, body: message.body, accepted: now)
            },
            deliveries.map { .init(account: $0.account, terminal: $0.terminal, sequence: $0.sequence) }, now: now)
          return verdicts.map { verdict in
            switch verdict {
            case .stored(let sequence): .stored(sequence)
            case .known(let sequence): .known(sequence)
            case .refused: .full
            }
          }
        }
      },
      next: { account, terminal, after in
        attempt(nil) { () throws(StorageError) in
          let now = MonotonicClock.wallClockSeconds
          return try store.next(for: account, terminal: terminal, after: after, now: now).map { message in
            StoredMessage(
              sequence: message.sequence, receiver: message.receiver, topic: message.topic, sender: message.sender,
              identity: message.identity, contentType: message.contentType, body: message.body,
              accepted: message.accepted)
          }
        }
      })
  }
}
