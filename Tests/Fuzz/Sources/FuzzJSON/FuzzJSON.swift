import StatusModel

/// What answers on the status socket may be anybody; what parses is written and read back the same.
@c(LLVMFuzzerTestOneInput)
public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = [UInt8](UnsafeRawBufferPointer(start: start, count: count))
  guard let value = try? JSONValue(bytes: bytes) else { return 0 }
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
  return 0
}
