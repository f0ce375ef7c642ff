/// From when to when a certificate is good, in seconds since 1970 (UTC).
public struct Validity: Hashable, Sendable {
  public var notBefore: Int64
  public var notAfter: Int64

  public init(notBefore: Int64, notAfter: Int64) {
    self.notBefore = notBefore
    self.notAfter = notAfter
  }

  /// 2020-01-01 to 2099-12-31. Nothing renews the certificates a server makes for itself, and the machine
  /// that makes them may have a clock that is years behind: dates protect nothing here, the pinned authority does.
  public static let long = Validity(notBefore: 1_577_836_800, notAfter: 4_102_358_400)
}

/// A moment as people write it.
struct CivilTime: CustomStringConvertible {
  let unixSeconds: Int64

  /// `2026-01-31 12:00 UTC`, in the proleptic Gregorian calendar.
  var description: String {
    let limit: Int64 = 253_402_300_799
    let seconds = min(max(unixSeconds, -62_135_596_800), limit)
    var days = seconds / 86_400
    var rest = seconds % 86_400
    if rest < 0 {
      rest += 86_400
      days -= 1
    }
    // Days are counted from 1 March of year 0, so that the leap day is the last day of a year.
    days += 719_468
    let era = (days >= 0 ? days : days - 146_096) / 146_097
    let dayOfEra = days - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shifted + 2) / 5 + 1
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return "\(year)-\(pad(month))-\(pad(day)) \(pad(rest / 3600)):\(pad(rest / 60 % 60)) UTC"
  }

  private func pad(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
