import PIDF
import XMLDocument

/// Any bytes at all may be published; none may trap, and a presence document is written and read back the same.
func checkPresence(_ bytes: [UInt8]) {
  guard let presence = try? Presence(parsing: bytes) else { return }
  let text = Array(presence.serialized.utf8)
  guard text.count <= XMLLimits.bytes else { return }
  precondition((try? Presence(parsing: text)) == presence)
}
