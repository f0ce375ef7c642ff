import EdgeCore

extension Message {
  /// The message as it goes on the wire, with a Content-Length.
  ///
  /// A carriage return or line feed inside a value becomes a space: no value can start a new header field.
  public func serialized() -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(body.count + 64 + headers.reduce(0) { $0 + $1.value.utf8.count + 24 })
    switch startLine {
    case .request(let method, let uri):
      Self.write(method.name, into: &out)
      out.append(0x20)
      Self.write(uri.description, into: &out)
      out += " SIP/2.0\r\n".utf8
    case .response(let status, let reason):
      out += "SIP/2.0 \(status.value) ".utf8
      Self.write(reason, into: &out)
      out += "\r\n".utf8
    }
    for header in headers where header.name != .contentLength {
      Self.write(header.name.text, into: &out)
      out += ": ".utf8
      Self.write(header.value, into: &out)
      out += "\r\n".utf8
    }
    out += "Content-Length: \(body.count)\r\n\r\n".utf8
    out += body
    return out
  }

  private static func write(_ text: String, into out: inout [UInt8]) {
    for byte in text.utf8 { out.append(byte == 0x0D || byte == 0x0A ? 0x20 : byte) }
  }
}

extension Message {
  /// The response a server makes to a request (RFC 3261 §8.2.6).
  ///
  /// - Parameters:
  ///   - reason: the phrase; the status code's own when `nil`.
  ///   - tag: goes into To when the request has no To tag, except in a 100.
  public static func response(
    to request: Message, status: StatusCode, reason: String? = nil, tag: String? = nil
  ) -> Message {
    var response = Message(.response(status, reason: reason ?? status.reason))
    for header in request.headers {
      switch header.name {
      case .via, .from, .callID, .cseq:
        response.headers.append(header)
      case .to:
        guard let tag, status.value > 100, var to = NameAddress(header.value), to.tag == nil else {
          response.headers.append(header)
          continue
        }
        to.tag = tag
        response.append(.to, to.description)
      case .timestamp where status.value == 100:
        response.headers.append(header)
      // RFC 3261 §12.1.1: copied to responses that establish a dialog.
      case .recordRoute where 101..<300 ~= status.value:
        response.headers.append(header)
      default: continue
      }
    }
    return response
  }
}
