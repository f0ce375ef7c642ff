import PIDF
import XMLDocument

/// Any bytes at all may be published; none may trap, and a presence document is written and read back the same.
@c(LLVMFuzzerTestOneInput)
public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = [UInt8](UnsafeRawBufferPointer(start: start, count: count))
  guard let presence = try? Presence(parsing: bytes) else { return 0 }
  let text = Array(presence.serialized.utf8)
  guard text.count <= XMLLimits.bytes else { return 0 }
  precondition((try? Presence(parsing: text)) == presence)
  return 0
}
