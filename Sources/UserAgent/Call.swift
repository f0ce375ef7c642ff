import EdgeCore
import SIP

/// One INVITE dialog, from either side.
struct Call {
  enum Phase {
    /// Our INVITE is under way.
    case calling(TransactionHandle)
    /// Their INVITE waits for the owner's answer.
    case ringing(TransactionHandle, Message)
    /// We answered; the ACK is still to come.
    case answered
    case established
    /// Their re-INVITE waits for the owner's answer.
    case reoffered(TransactionHandle, Message)
  }

  var phase: Phase
  var dialog: Dialog?
  /// Our tag, for calls we answer.
  var localTag = ""
  /// The ACK of our last INVITE, to be sent again for a 2xx that comes again.
  var acknowledgement: Message?
  /// The 2xx we sent, and when to send it again (RFC 3261 §13.3.1.4).
  var answer: [UInt8] = []
  /// The CSeq number of the INVITE that `answer` answers: its ACK has the same.
  var answeredNumber: UInt32?
  var answerResendAt: Instant?
  var answerInterval = Duration.zero
  var answerGiveUpAt: Instant?
  /// Our own re-INVITE is under way.
  var isReoffering = false
  /// The owner hung up: nothing is told any more, and the call stays only until a BYE may be sent.
  var isGivenUp = false
  /// When whoever has to decide (the callee in `calling`, the owner in `ringing` and `reoffered`) has had long enough.
  var decideBy: Instant?

  /// Nobody lets a call ring for longer; a proxy gives up after three minutes too (RFC 3261 §16.6, timer C).
  static let patience = Duration.seconds(180)
  /// A new offer inside a call is answered by a program.
  static let reofferPatience = Duration.seconds(20)

  var isEstablished: Bool {
    switch phase {
    case .answered, .established, .reoffered: true
    case .calling, .ringing: false
    }
  }

  var nextDeadline: Instant? { Instant.earliest(answerResendAt, decideBy) }
}
