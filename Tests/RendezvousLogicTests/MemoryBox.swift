@testable import RendezvousLogic

/// The store as the core sees it, in memory.
final class MemoryBox {
  var messages: [StoredMessage] = []
  var cursors: [String: Int64] = [:]
  var isFull = false
  var isBroken = false
  var writes = 0

  var box: MessageBox {
    MessageBox(
      commit: { [self] incoming, deliveries in
        writes += 1
        guard !isBroken else { return nil }
        for delivery in deliveries { cursors["\(delivery.account) \(delivery.terminal)"] = delivery.sequence }
        return incoming.map { take($0) }
      },
      next: { [self] account, terminal, after in
        let cursor = max(after, cursors["\(account) \(terminal)"] ?? 0)
        return messages.first { $0.receiver == account && $0.sequence > cursor }
      })
  }

  private func take(_ message: StoredMessage) -> MessageBox.Verdict {
    let known = messages.first {
      $0.sender == message.sender && $0.receiver == message.receiver && $0.identity == message.identity
    }
    if let known { return .known(known.sequence) }
    guard !isFull else { return .full }
    var message = message
    message.sequence = Int64(messages.count + 1)
    message.accepted = 1_700_000_000
    messages.append(message)
    return .stored(message.sequence)
  }
}
