internal import EdgeCore

extension JSONValue {
  /// An RFC 3339 string.
  var unixSeconds: Int64? { text.flatMap { Timestamp.parse($0) } }

  /// A number of milliseconds.
  var duration: Duration? { thousandths.map { .microseconds($0) } }
}

extension Duration {
  var statusMilliseconds: Int64 { wholeMilliseconds }
}
