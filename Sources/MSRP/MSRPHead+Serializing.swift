import EdgeCore

extension MSRPHead {
  /// The whole message. Without a `body` there is none, which is not the same as an empty one.
  public func serialized(body: [UInt8]? = nil, flag: MSRPFlag = .last) -> [UInt8] {
    var text = "MSRP " + transactionID
    switch kind {
    case .request(let method): text += " " + method
    case .response(let code, let comment): text += " \(code)" + (comment.utf8.isEmpty ? "" : " " + comment)
    }
    func add(_ name: String, _ value: String) { text += "\r\n" + name + ": " + value }
    // RFC 4975 §7.1: To-Path first, From-Path second, Content-Type last.
    add("To-Path", toPath.pathText)
    add("From-Path", fromPath.pathText)
    if let messageID { add("Message-ID", messageID) }
    if wantsSuccessReport { add("Success-Report", "yes") }
    switch failureReport {
    case .yes: break
    case .no: add("Failure-Report", "no")
    case .partial: add("Failure-Report", "partial")
    }
    if let byteRange { add("Byte-Range", byteRange.description) }
    if let reportedStatus { add("Status", "000 \(reportedStatus) \(MSRPStatus.comment(reportedStatus))") }
    for field in fields { add(field.name, field.value) }
    if let contentType { add("Content-Type", contentType) }
    text += "\r\n"
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count + (body?.count ?? 0) + 48)
    bytes += text.utf8
    if let body {
      bytes += [0x0D, 0x0A]
      bytes += body
      bytes += [0x0D, 0x0A]
    }
    bytes += endLine(flag)
    return bytes
  }

  /// `-------tid` with its flag and CRLF.
  private func endLine(_ flag: MSRPFlag) -> [UInt8] {
    Array("-------".utf8) + Array(transactionID.utf8) + [flag.rawValue, 0x0D, 0x0A]
  }
}
