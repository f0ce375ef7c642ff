import Foundation
import StatusModel
import Testing

@Suite("JSON")
struct JSONTests {
  static let sample = JSONValue.object([
    .init("z", .integer(-7)), .init("a", .array([.null, .bool(true), .thousandths(29_970), .string("x")])),
    .init("empty", .object([])), .init("none", .array([])),
  ])

  @Test func `members keep their order`() {
    #expect(JSONWriter.text(Self.sample) == #"{"z":-7,"a":[null,true,29.97,"x"],"empty":{},"none":[]}"#)
  }

  @Test func `people get it indented`() {
    #expect(
      JSONWriter.text(Self.sample, style: .indented)
        == """
        {
          "z": -7,
          "a": [
            null,
            true,
            29.97,
            "x"
          ],
          "empty": {},
          "none": []
        }
        """)
  }

  @Test func `both styles survive a round trip`() throws {
    for style in [JSONWriter.Style.oneLine, .indented] {
      #expect(try JSONValue(JSONWriter.text(Self.sample, style: style)) == Self.sample)
    }
  }

  @Test(arguments: [
    "", "plain", "\"\\/\u{8}\u{C}\n\r\t", "\u{0}\u{1F}\u{7F}\u{85}\u{2028}", "Stra\u{DF}e \u{1F3A5} \u{65E5}",
    "\u{10FFFF}",
  ])
  func `any string survives, also through somebody else's parser`(text: String) throws {
    let written = JSONWriter.text(.array([.string(text)]))
    #expect(try JSONValue(written) == .array([.string(text)]))
    #expect(try JSONSerialization.jsonObject(with: Data(written.utf8)) as? [String] == [text])
    #expect(written.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) })
  }

  @Test func `escapes are understood`() throws {
    #expect(try JSONValue(#""\u0041\ud83c\udfa5\/\b""#) == .string("A\u{1F3A5}/\u{8}"))
  }

  @Test(arguments: [
    "", " ", "nul", "tru", "{", "[", "[1,]", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "{\"a\":}", "01", "-", "1.", ".5",
    "1e", "+1",
    "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\n\"", "1 2", "[1]]", "NaN",
    "// x", "'a'",
  ])
  func `what RFC 8259 does not allow is refused`(text: String) {
    #expect(throws: JSONError.self) { try JSONValue(text) }
  }

  @Test(arguments: ["0", "-0", "1.5e-7", "1E+9", "123456789012345678901234567890"])
  func `numbers keep their text`(text: String) throws { #expect(try JSONValue(text) == .number(text)) }

  @Test func `limits hold and bad UTF-8 is refused`() throws {
    let depth = JSONLimits.depth
    let deep = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    #expect(throws: Never.self) { try JSONValue(deep) }
    #expect(throws: JSONError.self) { try JSONValue("[" + deep + "]") }
    #expect(throws: JSONError.self) { try JSONValue("[" + String(repeating: "1,", count: JSONLimits.values) + "1]") }
    #expect(throws: JSONError.self) { try JSONValue(bytes: Array(repeating: 0x20, count: JSONLimits.bytes + 1)) }
    #expect(throws: JSONError.self) { try JSONValue(bytes: [0x22, 0xFF, 0x22]) }
  }

  @Test(arguments: [
    (0, "0"), (1, "0.001"), (-1500, "-1.5"), (24_000, "24"), (1_050, "1.05"),
    (Int64.min, "-9223372036854775.808"),
  ])
  func `thousandths need no floating point`(value: Int64, text: String) throws {
    #expect(JSONWriter.text(.thousandths(value)) == text)
    if value != .min { #expect(try JSONValue(text).thousandths == value) }
  }

  @Test func `numbers that do not fit are nil, not a trap`() throws {
    #expect(try JSONValue("123456789012345678901234567890").integer == nil)
    #expect(try JSONValue("123456789012345678901234567890").thousandths == nil)
    #expect(try JSONValue("1e9").thousandths == nil)
    #expect(try JSONValue("1.23456").thousandths == 1234)
    #expect(JSONValue.null.integer == nil)
  }
}
