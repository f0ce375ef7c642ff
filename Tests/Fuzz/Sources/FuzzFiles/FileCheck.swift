import FileTransfer
import SDP

/// Any bytes at all may come as a selector, a name, a path, a journal, a listing or a typed line: none may trap, what
/// parses is written and read back the same, and no name that is let through leads anywhere.
func checkFileText(_ bytes: [UInt8]) {
  let text = String(decoding: bytes, as: UTF8.self)
  if let selector = FileSelector(text) { precondition(FileSelector(selector.text) == selector) }
  if let range = FileRange(text) {
    precondition(FileRange(range.text) == range)
    for size: UInt64 in [0, 1, 1 << 40] {
      if let offsets = range.offsets(in: size) { precondition(offsets.upperBound <= size) }
    }
  }
  if (try? SafeName.check(text)) != nil {
    precondition(!text.utf8.contains(0x2F) && !text.utf8.contains(0) && text != "." && text != "..")
    precondition(
      (try? SafeName.check(SafeName.numbered(text, 1))) != nil || text.utf8.count > SafeName.maximumBytes - 4)
  }
  if let path = try? SharedPath(text) {
    precondition(path.components.count <= SharedPath.maximumDepth)
    for component in path.components { precondition((try? SafeName.check(component)) != nil) }
  }
  if let journal = TransferJournal(bytes) {
    precondition(journal.resumeOffset(partBytes: 1 << 40) <= journal.size)
    var again = journal
    again.durable = 0
    precondition(TransferJournal(Array(journal.firstLine.utf8)) == again)
  }
  if let listing = FileListing(bytes) {
    for entry in listing.entries { precondition((try? SafeName.check(entry.name)) != nil) }
  }
  _ = ChatLine(text)
  precondition(!ShownText.line(text).utf8.contains(0x1B))
  var channel = NegotiatedChannel(streamID: 1, label: "msrp", protocolName: "msrp")
  for line in text.split(separator: "\n", maxSplits: 31) {
    let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    channel.attributes.append(.init(String(parts[0]), parts.count > 1 ? String(parts[1]) : nil))
  }
  if let file = FileDescription(channel) {
    guard let again = FileDescription(file.channel) else { preconditionFailure("what was written is not read") }
    precondition(again.selector == file.selector && again.range == file.range && again.direction == file.direction)
  }
  if let chat = ChatDescription(channel) { precondition(ChatDescription(chat.channel)?.path == chat.path) }
}
