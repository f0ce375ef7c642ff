/// How far a transaction is, whichever of the four machines it runs on.
public enum TransactionStage: Hashable, Sendable {
  /// There is no final response yet.
  case waiting
  /// There is one, and what may come again is still absorbed.
  case answered
  case terminated
}
