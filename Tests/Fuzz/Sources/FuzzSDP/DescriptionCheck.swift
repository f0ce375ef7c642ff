import SDP

/// Any bytes at all may arrive in a SIP body; none may trap, and what parses is written and read back the same.
func checkDescription(_ bytes: [UInt8]) {
  let bytes = bytes.span.bytes
  if let session = try? SessionDescription(parsing: bytes) {
    precondition(
      isSame(session) { text throws(SDPError) in
        try SessionDescription(text)
      } write: {
        $0.serialized
      })
    if let channel = try? DataChannelDescription(session) {
      let answer = channel.answer(to: session)
      precondition(answer.media.count == session.media.count)
      if channel.mid != nil || !channel.isBundled {
        precondition(
          isSame(channel) { text throws(SDPError) in
            try DataChannelDescription(text)
          } write: {
            $0.serialized
          })
      }
    }
  }
  if let fragment = try? TrickleFragment(parsing: bytes) {
    precondition(
      isSame(fragment) { text throws(SDPError) in
        try TrickleFragment(text)
      } write: {
        $0.serialized
      })
  }
}

/// Whether `value` survives writing and reading. What grew beyond the limits meanwhile (LF became CRLF, `t=`
/// was added) does not count.
private func isSame<T: Equatable>(
  _ value: T, read: (String) throws(SDPError) -> T, write: (T) -> String
) -> Bool {
  do throws(SDPError) {
    return try read(write(value)) == value
  } catch {
    if case .tooLarge = error { return true }
    return false
  }
}
