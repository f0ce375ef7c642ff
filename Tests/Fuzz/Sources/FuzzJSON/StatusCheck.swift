import StatusModel

/// What answers on the status socket may be anybody; what parses is written and read back the same.
func checkStatus(_ bytes: [UInt8]) {
  guard let value = try? JSONValue(bytes: bytes) else { return }
  let text = JSONWriter.text(value)
  if text.utf8.count <= JSONLimits.bytes { precondition((try? JSONValue(text)) == value) }
  if let status = NodeStatus(value) {
    precondition(NodeStatus(status.json) == status)
    for scalar in status.text.unicodeScalars { precondition(scalar == "\n" || (0x20..<0x7F).contains(scalar.value)) }
  }
  if let status = RendezvousStatus(value) {
    precondition(RendezvousStatus(status.json) == status)
    for scalar in status.text.unicodeScalars { precondition(scalar == "\n" || (0x20..<0x7F).contains(scalar.value)) }
  }
}
