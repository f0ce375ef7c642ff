import Alarms
import Capture
import Config
import EdgeCore
import FrameCodec
import LinuxIO
import NodeLogic
import Picture
import StatusModel

/// One published camera: its source, its encoder, and everybody who watches it.
///
/// The source runs only while somebody watches, or while there are alarms to raise.
final class CameraFeed {
  let configuration: NodeConfiguration.Camera
  /// The capture state changed: publish and report it.
  var onStateChanged: (() -> Void)?
  /// The camera's detectors, or its loss, have something for its owner.
  var onSight: ((AlarmSight) -> Void)?

  private let reactor: Reactor
  private let log: Log
  private let encoder: CameraEncoder
  private let source: CaptureSession
  private let mailbox: Mailbox<EncodedPicture>
  private let inlet: Inlet
  private let sights: Mailbox<AlarmSight>?
  private var lossTimer: Reactor.TimerToken?
  private var isLost = false
  private var watchers: [ViewerSession] = []
  /// Snapshots that wait for their picture.
  private var snapshots = 0
  /// What is encoded now.
  private var renditions: [WatchedRendition] = []
  private var tickTimer: Reactor.TimerToken?
  private(set) var lastFormat: CaptureFormat?
  private(set) var problem: CaptureProblem?
  /// The camera delivers something else than when it was opened for those who watch.
  private(set) var change: FormatChange?
  /// What was delivered last since the camera was opened for somebody.
  private var streamed: CaptureFormat?
  private var captureLatency = LatencyMeter()
  private var encodeLatency = LatencyMeter()
  private var rate = RateMeter()

  /// Lets the mailbox's handler be made before the feed it belongs to.
  private final class Inlet {
    var receive: ((EncodedPicture) -> Void)?
    var sight: ((AlarmSight) -> Void)?
  }

  /// Finished frames the reactor has not looked at yet; more are dropped whole.
  ///
  /// While a session's keys are made the reactor is busy for longer than four pictures of a fast camera take.
  private static let mailboxCapacity = 12
  /// Encoders at work at the same time; a viewer beyond that gets what another has.
  private static let mostRenditions = 6
  private static let tickInterval = Duration.milliseconds(100)

  init(configuration: NodeConfiguration.Camera, reactor: Reactor, log: Log) throws(SystemError) {
    self.configuration = configuration
    self.reactor = reactor
    self.log = log
    let inlet = Inlet()
    self.inlet = inlet
    mailbox = try Mailbox(reactor: reactor, capacity: Self.mailboxCapacity) { inlet.receive?($0) }
    var watch: AlarmWatch?
    if let alarms = configuration.alarms {
      let sights = try Mailbox<AlarmSight>(reactor: reactor, capacity: 64) { inlet.sight?($0) }
      self.sights = sights
      watch = AlarmWatch(alarms) { sights.post($0) }
    } else {
      sights = nil
    }
    let encoder = CameraEncoder(mailbox: mailbox, watch: watch)
    self.encoder = encoder
    source = try CaptureSession(reactor: reactor, source: Self.source(configuration)) { info, picture in
      encoder.encode(info, picture)
    }
    inlet.receive = { [unowned(unsafe) self] in distribute($0) }
    inlet.sight = { [unowned(unsafe) self] in onSight?($0) }
    source.onEvent = { [unowned(unsafe) self] in receive($0) }
  }

  deinit { close() }

  func close() {
    inlet.receive = nil
    inlet.sight = nil
    if let lossTimer { reactor.cancel(lossTimer) }
    lossTimer = nil
    if let tickTimer { reactor.cancel(tickTimer) }
    tickTimer = nil
    source.onEvent = nil
    source.close()
    mailbox.close()
    sights?.close()
    onStateChanged = nil
    onSight = nil
  }

  var state: CaptureState { source.state }
  var statistics: CaptureStatistics { source.statistics }
  /// Pictures that were encoded, and that the reactor was too busy to take.
  var refusedPictures: UInt64 { encoder.refusedPictures }
  var latency: LatencyTrace { LatencyTrace(capture: captureLatency.summary, encode: encodeLatency.summary) }
  var isWatched: Bool { !watchers.isEmpty }
  /// Frames per second over the last seconds, times 1000; `nil` while nothing runs.
  var measuredRate: Int64? { isWatched ? rate.thousandths(at: reactor.now) : nil }

  /// A camera's settings are its driver's.
  func perform(_ order: CameraControls.Order, _ done: @escaping ([CameraControl], String?) -> Void) {
    guard case .device(let path) = configuration.source else {
      return done([], "\(sourceName) has no settings")
    }
    CameraControls.perform(order, device: path, reactor: reactor, done: done)
  }

  // MARK: Watching

  /// The source starts while the session is still being made; the key frame is asked for when it stands.
  func add(_ watcher: ViewerSession) {
    watchers.append(watcher)
    if watchers.count == 1 {
      rate = RateMeter()
      source.start()
      tick()
    }
    renditionsChanged()
  }

  func remove(_ watcher: ViewerSession) {
    let before = watchers.count
    watchers.removeAll { $0 === watcher }
    guard watchers.count < before else { return }
    renditionsChanged()
    guard watchers.isEmpty else { return }
    if let tickTimer { reactor.cancel(tickTimer) }
    tickTimer = nil
    rest()
  }

  /// The source runs while somebody watches, or waits for a snapshot, and always for alarms.
  private func rest() {
    guard watchers.isEmpty, snapshots == 0, configuration.alarms == nil else { return }
    source.stop()
    problem = nil
    change = nil
    streamed = nil
  }

  /// The next picture as a file: PNG, its sides halved until it is at most `maxWidth` pixels wide, or the JPEG a camera
  /// made. The camera is opened for it when nobody watches.
  ///
  /// `done` is called once, on the reactor: with the file, or with nothing and why.
  func snapshot(
    maxWidth: Int, within limit: Duration = .seconds(5), _ done: @escaping (Snapshot?, _ why: String) -> Void
  ) {
    do throws(SystemError) {
      // The feed lives as long as the node, which is longer than the reactor runs.
      let queue = try SnapshotTaker.start(reactor: reactor, maxWidth: maxWidth, within: limit) { [self] in
        snapshots -= 1
        done($0, problem?.text(sourceName) ?? "no picture from \(sourceName) that a file can be made of")
        rest()
      }
      snapshots += 1
      encoder.add(queue)
      source.start()
    } catch {
      done(nil, "\(error)")
    }
  }

  /// What a viewer's ladder starts from.
  var ladderSource: RenditionLadder.Source {
    let quality: Rendition.Quality =
      switch configuration.quality {
      case .lossless: .lossless
      case .maximumError(let error): .maximumError(error)
      case .gate: .gate
      }
    let picture = lastFormat?.picture
    let measured = lastFormat.map { ($0.centiFramesPerSecond + 50) / 100 } ?? 0
    return RenditionLadder.Source(
      width: picture?.width ?? configuration.size?.width ?? 640,
      height: picture?.height ?? configuration.size?.height ?? 480,
      framesPerSecond: measured > 0 ? measured : configuration.framesPerSecond ?? 25,
      isCompressed: picture?.pixelFormat.isCompressed ?? false, quality: quality,
      isInterCoded: picture?.pixelFormat == .h264)
  }

  /// The rendition itself, or, when enough others are encoded already, the one of them that comes next below it.
  func available(_ rendition: Rendition, for watcher: ViewerSession) -> Rendition {
    var others: [Rendition] = []
    for other in watchers where other !== watcher {
      for used in other.renditions where !others.contains(used) { others.append(used) }
    }
    if others.contains(rendition) || others.count < Self.mostRenditions { return rendition }
    var best = others[0]
    for other in others where other.isCheaper(than: rendition) || best.isDearer(than: rendition) {
      if best.isDearer(than: rendition) || best.isCheaper(than: other) { best = other }
    }
    return best
  }

  /// A viewer uses others than before.
  func renditionsChanged() {
    var next: [WatchedRendition] = []
    for watcher in watchers {
      for used in watcher.renditions where !next.contains(where: { $0.rendition == used }) {
        next.append(renditions.first { $0.rendition == used } ?? WatchedRendition(used))
      }
    }
    renditions = next
    encoder.setRenditions(next.map { $0.rendition })
    holdWhatNobodyTakes()
  }

  /// A rendition rests while none of its viewers has room for a picture. Not the camera's H.264: what is left out there
  /// costs everything up to its next key frame, so each viewer's gate decides, with more patience.
  func holdWhatNobodyTakes() {
    for index in renditions.indices {
      let rendition = renditions[index].rendition
      let isHeld = !renditions[index].isInterCoded && !watchers.contains { $0.takes(rendition) }
      guard isHeld != renditions[index].isHeld else { continue }
      renditions[index].isHeld = isHeld
      encoder.setHeld(rendition, isHeld)
    }
  }

  /// Whether pictures of the rendition are to be made for viewers whose session is not open yet.
  func isMadeAhead(_ rendition: Rendition) -> Bool {
    renditions.first { $0.rendition == rendition }?.isMadeAhead ?? true
  }

  /// The watcher cannot go on without a key frame: it gets the last one and what was made since, or waits for the next.
  func requestKeyFrame(_ rendition: Rendition, for watcher: ViewerSession) {
    guard let index = renditions.firstIndex(where: { $0.rendition == rendition }) else { return }
    let missed = renditions[index].current(at: reactor.now)
    if !watcher.catchUp(missed) { encoder.requestKeyFrame(rendition) }
  }

  private func distribute(_ picture: EncodedPicture) {
    captureLatency.note(picture.captureTime)
    encodeLatency.note(picture.encodeTime)
    if picture.rendition == renditions.first?.rendition {
      rate.count(at: reactor.now, times: picture.rendition.divisor)
    }
    for index in renditions.indices where renditions[index].rendition == picture.rendition {
      renditions[index].note(picture)
    }
    for watcher in watchers { watcher.offer(picture) }
    holdWhatNobodyTakes()
    askForKeyFrames()
  }

  private func askForKeyFrames() {
    for watcher in watchers {
      if let wanted = watcher.wantedKeyFrame { requestKeyFrame(wanted, for: watcher) }
    }
  }

  private func tick() {
    tickTimer = reactor.schedule(after: Self.tickInterval) { [unowned(unsafe) self] in
      for watcher in watchers { watcher.adapt() }
      askForKeyFrames()
      for index in renditions.indices { _ = renditions[index].current(at: reactor.now) }
      tick()
    }
  }

  // MARK: Alarms

  /// A camera that does not come back within this time is lost.
  private static let lossPatience = Duration.seconds(2)

  func startAlarms() { source.start() }

  private func noteLoss(_ isGone: Bool) {
    guard configuration.alarms?.lost == true else { return }
    if let lossTimer { reactor.cancel(lossTimer) }
    lossTimer = nil
    let began = MonotonicClock.wallClockMicroseconds
    if isGone, !isLost {
      lossTimer = reactor.schedule(after: Self.lossPatience) { [unowned(unsafe) self] in
        lossTimer = nil
        isLost = true
        onSight?(AlarmSight(kind: .lost, phase: .begin, microseconds: began))
      }
    } else if !isGone, isLost {
      isLost = false
      onSight?(AlarmSight(kind: .lost, phase: .end, microseconds: began))
    }
  }

  // MARK: The source

  private func receive(_ event: CaptureEvent) {
    switch event {
    case .badFrame(let bad):
      log.warning("camera.bad-frame", ("serial", configuration.serial), ("what", bad.description))
      return
    case .state(let state): noteState(state)
    }
    onStateChanged?()
  }

  private func noteState(_ state: CaptureState) {
    switch state {
    case .idle, .opening: break
    case .streaming(let format):
      noteFormat(format)
      problem = nil
      noteLoss(false)
      log.info("camera.streaming", ("serial", configuration.serial), ("format", format.description))
      for watcher in watchers {
        watcher.sourceChanged()
        watcher.tell(.camera(state: "streaming", text: format.description))
      }
    case .failed(let problem, let delay):
      if self.problem == nil { noteLoss(true) }
      self.problem = problem
      let text = problem.text(sourceName)
      log.warning(
        "camera.failed", ("serial", configuration.serial), ("problem", text), ("retry_ms", "\(delay.wholeMilliseconds)")
      )
      for watcher in watchers { watcher.tell(.camera(state: problem.code, text: text)) }
    case .ended:
      for watcher in watchers { watcher.tell(.camera(state: "ended", text: "the file is over")) }
    }
  }

  private func noteFormat(_ format: CaptureFormat) {
    if let before = streamed, before.picture != format.picture {
      change = FormatChange(from: before, to: format)
      log.notice(
        "camera.changed", ("serial", configuration.serial), ("from", before.description), ("to", format.description))
    }
    streamed = format
    lastFormat = format
  }

  /// For a watcher that comes while the camera gives no pictures.
  var trouble: ControlMessage? {
    problem.map { .camera(state: $0.code, text: $0.text(sourceName)) }
  }
}
