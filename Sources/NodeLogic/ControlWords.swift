import EdgeCore
import StatusModel

/// The `name=value` words of a control message.
struct ControlWords {
  private let bytes: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

  private func word(_ name: StaticString) -> ArraySlice<UInt8>? {
    let wanted = Array(name.description.utf8)
    for part in bytes.split(separator: UInt8(ascii: " ")) {
      guard let equals = part.firstIndex(of: UInt8(ascii: "=")) else { continue }
      if part[..<equals].elementsEqual(wanted) { return part[(equals + 1)...] }
    }
    return nil
  }

  func text(_ name: StaticString) -> String? { word(name).map { String(decoding: $0, as: UTF8.self) } }

  func number(_ name: StaticString) -> UInt64? { word(name).flatMap { ASCII.decimal($0, max: UInt64(Int64.max)) } }

  /// With a sign in front, if there is one.
  func integer(_ name: StaticString) -> Int64? {
    guard let digits = word(name) else { return nil }
    let isNegative = digits.first == UInt8(ascii: "-")
    guard let number = ASCII.decimal(isNegative ? digits.dropFirst() : digits, max: UInt64(Int64.max)) else {
      return nil
    }
    return isNegative ? -Int64(number) : Int64(number)
  }

  /// Two numbers of microseconds.
  func latency(_ name: StaticString) -> StageLatency? {
    guard let parts = word(name)?.split(separator: UInt8(ascii: ",")), parts.count == 2,
      let median = ASCII.decimal(parts[0], max: 1 << 40), let p95 = ASCII.decimal(parts[1], max: 1 << 40)
    else { return nil }
    return StageLatency(median: .microseconds(Int64(median)), p95: .microseconds(Int64(p95)))
  }

  /// What follows `text=`, blanks and all.
  var rest: String {
    let marker = Array(" text=".utf8)
    var start = bytes.startIndex
    while start + marker.count <= bytes.endIndex {
      if bytes[start..<start + marker.count].elementsEqual(marker) {
        return String(decoding: bytes[(start + marker.count)...], as: UTF8.self)
      }
      start += 1
    }
    return ""
  }
}

extension StageLatency {
  var word: String { "\(median.wholeNanoseconds / 1000),\(p95.wholeNanoseconds / 1000)" }
}
