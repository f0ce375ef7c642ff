import Alarms
import EdgeCore
import Testing

@Suite("Covered lens")
struct TamperDetectorTests {
  private static func look(_ dim: Int = 1, base: Int = 100) -> Look {
    Look(cells: (0..<Look.columns * Look.rows).map { UInt8(base / dim + ($0 * 37 % 60) / dim) })
  }

  private static let covered = Look(cells: (0..<Look.columns * Look.rows).map { UInt8(14 + $0 % 2) })

  private final class Watch {
    var detector = TamperDetector()
    var now = Instant.zero
    var events: [TamperDetector.Event] = []

    func see(_ look: Look, seconds: Int) {
      for _ in 0..<seconds * 10 {
        if let event = detector.see(look, at: now) { events.append(event) }
        now = now + .milliseconds(100)
      }
    }
  }

  @Test func `a lens that stays covered is told once, and that it is free again`() {
    let watch = Watch()
    watch.see(Self.look(), seconds: 30)
    let begin = watch.now
    watch.see(Self.covered, seconds: 60)
    #expect(watch.events == [.began(first: begin)])
    watch.see(Self.look(), seconds: 3)
    #expect(watch.events.last == .ended)
    #expect(!watch.detector.isTampered)
  }

  @Test func `a hand that passes, and dusk, cover nothing`() {
    let watch = Watch()
    watch.see(Self.look(), seconds: 30)
    watch.see(Self.covered, seconds: 3)
    watch.see(Self.look(), seconds: 30)
    for dim in 2...12 { watch.see(Self.look(dim), seconds: 120) }
    #expect(watch.events.isEmpty)
  }

  @Test func `where there was nothing to see, nothing can be lost`() {
    let watch = Watch()
    watch.see(Look(cells: [UInt8](repeating: 200, count: Look.columns * Look.rows)), seconds: 30)
    watch.see(Self.covered, seconds: 30)
    #expect(watch.events.isEmpty)
  }

  @Test func `a look is the mean of its cells, and of no other bytes`() throws {
    var picture = [UInt8](repeating: 255, count: 64 * 48 * 2)
    for index in stride(from: 0, to: picture.count, by: 2) { picture[index] = index < picture.count / 2 ? 50 : 90 }
    let full = Look(picture.span.bytes, width: 64, height: 48, offset: 0, step: 2, rowBytes: 128)
    let look = try #require(full)
    #expect(look.cells.prefix(Look.columns * 6).allSatisfy { $0 == 50 })
    #expect(look.cells.suffix(Look.columns * 6).allSatisfy { $0 == 90 })
    let short = Look(picture.span.bytes, width: 64, height: 49, offset: 0, step: 2, rowBytes: 128)
    #expect(short == nil)
  }
}
