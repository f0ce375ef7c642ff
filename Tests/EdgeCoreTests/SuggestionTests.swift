import EdgeCore
import Testing

@Suite("Suggestions and names")
struct SuggestionTests {
  @Test(arguments: [
    ("YUVY", "YUYV"), ("nv21", "NV12"), ("grey8", "GREY"), ("mjpg", "MJPEG"), ("yuyv", "YUYV"),
  ])
  func `a slip is recognized`(typed: String, meant: String) {
    #expect(Suggestion.closest(to: typed, among: ["YUYV", "UYVY", "NV12", "GREY", "MJPEG"]) == meant)
  }

  @Test(arguments: ["", "completely-different", "x"])
  func `something else is not`(typed: String) {
    #expect(Suggestion.closest(to: typed, among: ["YUYV", "NV12", "a"]) == nil)
  }

  @Test(arguments: ["CAM-7F3A-0001", "a", "34020000001320000001", "nvr_22.b"])
  func `serials of every usual kind are valid`(serial: String) { #expect(Names.isValidSerial(serial)) }

  @Test(arguments: ["", "-a", ".a", "a b", "a@b", "a/b", "ä", "a\n", String(repeating: "a", count: 65)])
  func `serials that would need escaping are not`(serial: String) { #expect(!Names.isValidSerial(serial)) }
}
