import Alarms
import EdgeCore
import Testing

@Suite("Motion")
struct MotionDetectorTests {
  @Test(arguments: [0.0, 0.5, 2, 4]) func `ten minutes of noise are no motion, however sensitive`(sigma: Double) {
    var settings = MotionDetector.Settings()
    settings.sensitivity = 100
    var scene = Scene(settings, seed: 7)
    scene.sigma = sigma
    scene.pictures(6000)
    #expect(scene.events.isEmpty)
  }

  @Test func `a small thing that moves is seen in its second picture, and ends after the hold time`() {
    var scene = Scene()
    scene.pictures(50)
    let begin = scene.now
    scene.pictures(2, moving: Scene.thing(4, 10))
    #expect(scene.events == [.began(first: begin, share: 20)])
    scene.pictures(20, moving: Scene.thing(5, 10))
    scene.pictures(99)
    #expect(scene.events.count == 1)
    #expect(scene.detector.isMoving)
    scene.pictures(2)
    #expect(scene.events.last == .ended)
    #expect(!scene.detector.isMoving)
  }

  @Test func `one picture alone, and blocks that stand alone, are none`() {
    var scene = Scene()
    scene.pictures(50)
    scene.pictures(1, moving: Scene.thing(4, 10))
    scene.pictures(10)
    scene.pictures(10, moving: [(1, 1), (5, 5), (8, 20), (3, 28), (7, 12), (1, 18)])
    #expect(scene.events.isEmpty)
  }

  @Test func `the more sensitive, the less it takes`() {
    for (sensitivity, step, wanted) in [(1, 4.0, 0), (50, 4.0, 1), (100, 2.0, 1), (50, 1.0, 0)] {
      var settings = MotionDetector.Settings()
      settings.sensitivity = sensitivity
      var scene = Scene(settings)
      scene.pictures(50)
      scene.pictures(5, moving: Scene.thing(4, 10), by: step)
      #expect(scene.begins == wanted, "sensitivity \(sensitivity), step \(step)")
    }
  }

  @Test func `only what moves in a zone counts, and not what moves in one to ignore`() throws {
    var settings = MotionDetector.Settings()
    settings.zones = [try #require(Zone("0,0 50,100"))]
    settings.ignored = [try #require(Zone("0,0 100,0 100,50 0,50"))]
    var scene = Scene(settings)
    scene.pictures(50)
    scene.pictures(5, moving: Scene.thing(7, 20))
    scene.pictures(5, moving: Scene.thing(1, 4))
    #expect(scene.events.isEmpty)
    scene.pictures(5, moving: Scene.thing(1, 20))
    #expect(scene.begins == 1)
  }

  @Test func `light that is switched on or fades is no motion`() {
    var scene = Scene()
    scene.pictures(50)
    scene.pictures(1, light: 40)
    scene.pictures(30)
    for step in 0..<20 { scene.pictures(1, light: Double(20 - step) / 2) }
    scene.pictures(30)
    #expect(scene.events.isEmpty)
    scene.pictures(3, moving: Scene.thing(4, 10))
    #expect(scene.begins == 1)
  }

  @Test func `what changes everything for long is motion after all`() {
    var scene = Scene()
    scene.pictures(50)
    scene.pictures(80, light: 30)
    #expect(scene.begins == 1)
  }

  @Test func `a screen that begins to flicker becomes usual within minutes`() {
    var scene = Scene()
    scene.pictures(50)
    scene.pictures(4000, moving: Scene.thing(4, 10), by: 6)
    #expect(scene.begins == 1)
    #expect(scene.events.last == .ended)
    scene.pictures(5, moving: Scene.thing(1, 20))
    #expect(scene.begins == 2)
  }

  @Test func `a picture of another size begins anew, and what is no grid is passed over`() {
    var detector = MotionDetector()
    #expect(detector.see(columns: 2, rows: 2, energies: [1], noise: 64, at: .zero) == nil)
    #expect(detector.see(columns: 2, rows: 2, energies: [1, 1, 1, 1], noise: 0, at: .zero) == nil)
    var scene = Scene()
    scene.pictures(50)
    let small = scene.detector.see(columns: 1, rows: 1, energies: [60_000], noise: 64, at: scene.now)
    #expect(small == nil)
    scene.pictures(50)
    #expect(scene.events.isEmpty)
  }

  @Test(arguments: ["", "1,2", "1,2 3", "1,2 101,3", "5,5 5,9", "1,2 -3,4", "a,b c,d", "1,2,3 4,5"])
  func `what is no zone is refused`(text: String) { #expect(Zone(text) == nil) }
}
