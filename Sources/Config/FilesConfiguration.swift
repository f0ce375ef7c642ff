internal import EdgeCore

extension NodeConfiguration {
  /// The `files` section: what a node lets others fetch, and what it takes from them. Without it: nothing.
  public struct Files: Hashable, Sendable {
    /// A folder whose files may be fetched by whoever may use one of the node's serials.
    public var share: String?
    /// Of that folder, a call for a serial sees only the folder of the serial's name.
    public var isBySerial: Bool
    /// A folder files that are sent to the node are put into.
    public var inbox: String?
    /// Bytes of one file sent to the node.
    public var maximumSize: UInt64

    public init(
      share: String? = nil, isBySerial: Bool = false, inbox: String? = nil, maximumSize: UInt64 = 4_000_000_000
    ) {
      self.share = share
      self.isBySerial = isBySerial
      self.inbox = inbox
      self.maximumSize = maximumSize
    }

    static let keys = ["share", "by-serial", "inbox", "max-size"]

    init(_ section: Section) {
      self.init()
      share = section.file("share")
      inbox = section.file("inbox")
      isBySerial = section.bool("by-serial") ?? false
      maximumSize = section.value("max-size", "a size such as 500M or 4G") { Self.size($0) } ?? maximumSize
      if section.has("by-serial"), share == nil { section.report("by-serial", "is of no use without share") }
      if section.has("max-size"), inbox == nil { section.report("max-size", "is of no use without inbox") }
      // What somebody sends would be there for all to fetch.
      if let share, share == inbox { section.report("inbox", "must be another folder than share") }
    }

    /// Bytes, or thousands, millions, billions of them: `800`, `20k`, `500M`, `4G`, `1T`.
    static func size(_ text: String) -> UInt64? {
      var digits = Array(text.utf8)[...]
      var factor: UInt64 = 1
      if let last = digits.last, let power = Array("kMGT".utf8).firstIndex(of: last) {
        for _ in 0...power { factor *= 1000 }
        digits = digits.dropLast()
      }
      guard let number = ASCII.decimal(digits, max: 1_000_000_000_000_000 / factor), number > 0 else { return nil }
      return number * factor
    }
  }
}
