/// Seconds since 1970-01-01 00:00 UTC as text, without a calendar library.
public enum Timestamp {
  /// RFC 3339 in UTC: `2026-11-21T06:21:15Z`. Clamped to the years 0...9999.
  public static func text(_ unixSeconds: Int64) -> String {
    let seconds = min(max(unixSeconds, -62_167_219_200), 253_402_300_799)
    var days = seconds / 86_400
    var rest = seconds % 86_400
    if rest < 0 {
      rest += 86_400
      days -= 1
    }
    let (year, month, day) = civil(days)
    return
      "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
      + "T\(padded(rest / 3600, 2)):\(padded(rest / 60 % 60, 2)):\(padded(rest % 60, 2))Z"
  }

  /// Parses RFC 3339 (any offset, fraction dropped).
  public static func parse(_ text: String) -> Int64? {
    let bytes = Array(text.utf8)
    func number(_ range: Range<Int>, _ bounds: ClosedRange<Int64>) -> Int64? {
      guard range.upperBound <= bytes.count, let value = ASCII.decimal(bytes[range], max: 9999) else { return nil }
      return bounds.contains(Int64(value)) ? Int64(value) : nil
    }
    func has(_ index: Int, _ character: Unicode.Scalar) -> Bool {
      index < bytes.count && ASCII.lowercased(bytes[index]) == UInt8(truncatingIfNeeded: character.value)
    }
    guard let year = number(0..<4, 0...9999), has(4, "-"), let month = number(5..<7, 1...12), has(7, "-"),
      let day = number(8..<10, 1...31), has(10, "t"), let hour = number(11..<13, 0...23), has(13, ":"),
      let minute = number(14..<16, 0...59), has(16, ":"), let second = number(17..<19, 0...60)
    else { return nil }
    let dayNumber = days(year, month, day)
    guard civil(dayNumber) == (year, month, day) else { return nil }
    var index = 19
    if index < bytes.count, bytes[index] == UInt8(ascii: ".") {
      index += 1
      guard index < bytes.count, ASCII.isDigit(bytes[index]) else { return nil }
      while index < bytes.count, ASCII.isDigit(bytes[index]) { index += 1 }
    }
    let local = dayNumber * 86_400 + hour * 3600 + minute * 60 + second
    if has(index, "z"), index + 1 == bytes.count { return local }
    guard index + 6 == bytes.count, bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-"),
      let offsetHour = number(index + 1..<index + 3, 0...23), has(index + 3, ":"),
      let offsetMinute = number(index + 4..<index + 6, 0...59)
    else { return nil }
    let offset = offsetHour * 3600 + offsetMinute * 60
    return bytes[index] == UInt8(ascii: "+") ? local - offset : local + offset
  }

  private static func padded(_ value: Int64, _ digits: Int) -> String {
    let text = "\(value)"
    return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
  }

  /// The Gregorian date of a day counted from 1970-01-01; years are counted from March so that the leap
  /// day is the last of its year.
  private static func civil(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    // 719468 days from 0000-03-01 to 1970-01-01; 146097 days in 400 years. Never negative for year 0 and later
    // but for its first two months, which the floor division below takes care of.
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (
      yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    )
  }

  private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }
}
