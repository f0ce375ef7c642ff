import EdgeCore
import Foundation
import Testing

@Suite("Timestamps")
struct TimestampTests {
  @Test(arguments: [
    (0, "1970-01-01T00:00:00Z"), (-1, "1969-12-31T23:59:59Z"), (951_782_400, "2000-02-29T00:00:00Z"),
    (1_795_242_075, "2026-11-21T06:21:15Z"), (4_107_542_399, "2100-02-28T23:59:59Z"),
    (-62_167_219_200, "0000-01-01T00:00:00Z"), (253_402_300_799, "9999-12-31T23:59:59Z"),
  ])
  func `text survives a round trip`(seconds: Int64, text: String) {
    #expect(Timestamp.text(seconds) == text)
    #expect(Timestamp.parse(text) == seconds)
  }

  @Test func `every day of four centuries agrees with the system's calendar`() {
    let formatter = ISO8601DateFormatter()
    for day in stride(from: Int64(-30_000), to: 116_000, by: 7) {
      #expect(Timestamp.text(day * 86_400) == formatter.string(from: Date(timeIntervalSince1970: Double(day) * 86_400)))
    }
  }

  @Test func `offsets and fractions are understood`() {
    #expect(Timestamp.parse("1970-01-01T01:00:00.25+01:00") == 0)
    #expect(Timestamp.parse("1969-12-31t19:30:00-04:30") == 0)
  }

  @Test(arguments: [
    "", "2026-11-21", "2026-11-21T06:21:15", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-11-21 06:21:15Z",
    "2026-11-21T06:21:15ZZ", "2026-11-21T06:21:15.Z", "2026-11-21T24:00:00Z", "2026-11-21T06:21:15+0100",
  ])
  func `nonsense is refused`(text: String) { #expect(Timestamp.parse(text) == nil) }
}
