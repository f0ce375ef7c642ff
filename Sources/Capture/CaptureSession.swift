import EdgeCore
public import LinuxIO
import Picture

/// One source and its thread, which sleeps while nobody wants pictures.
///
/// What goes wrong is an event and is tried again with growing delays, until ``stop()``.
public final class CaptureSession: FrameSource {
  public private(set) var state = CaptureState.idle
  public var onEvent: ((CaptureEvent) -> Void)?

  private let shared: CaptureControl
  private let mailbox: Mailbox<CaptureEvent>
  private let thread: LinuxIO.Thread

  /// `onFrame` is called on the source's thread, and the bytes are lent for the call: the slower it is, the more frames
  /// the source misses.
  public convenience init(
    reactor: Reactor, source: CaptureSource, onFrame: sending @escaping (FrameInfo, RawSpan) -> Void
  ) throws(SystemError) {
    switch source {
    case .camera(let path, let request):
      try self.init(
        reactor: reactor, name: "camera",
        producer: CameraProducer(request: request) { () throws(CaptureProblem) in try CameraDevice(path: path) },
        onFrame: onFrame)
    case .testCard(let format, let framesPerSecond):
      try self.init(
        reactor: reactor, name: "testcard",
        producer: TestCardProducer(format: format, framesPerSecond: framesPerSecond), onFrame: onFrame)
    case .file(let path, let loop, let width, let height, let framesPerSecond):
      try self.init(
        reactor: reactor, name: "file",
        producer: FileProducer(
          path: path, loop: loop, width: width, height: height, framesPerSecond: framesPerSecond), onFrame: onFrame)
    }
  }

  init(
    reactor: Reactor, name: String, producer: sending any FrameProducer,
    onFrame: sending @escaping (FrameInfo, RawSpan) -> Void
  ) throws(SystemError) {
    let control = try CaptureControl()
    let relay = Relay()
    // Roomy for states, which come with delays between them, and for one bad frame a second.
    mailbox = try Mailbox(reactor: reactor, capacity: 64) { relay.receive?($0) }
    shared = control
    let mailbox = mailbox
    let runner = CaptureRunner(producer: producer, control: control, onFrame: onFrame) { mailbox.post($0) }
    thread = try LinuxIO.Thread(name: name) { runner.run() }
    // Whoever holds the session decides how long it lives; its deinit closes the mailbox, so this never dangles.
    relay.receive = { [unowned(unsafe) self] in self.handle($0) }
  }

  deinit {
    shared.quit()
    mailbox.close()
  }

  public var statistics: CaptureStatistics { shared.statistics }

  public func start() { shared.setWanted(true) }

  public func stop() { shared.setWanted(false) }

  public func close() {
    shared.quit()
    mailbox.close()
    onEvent = nil
  }

  /// Waits for the thread's end, after ``close()``: for a program that is about to exit.
  public func join() { thread.join() }

  private func handle(_ event: CaptureEvent) {
    if case .state(let new) = event { state = new }
    onEvent?(event)
  }

  private final class Relay {
    var receive: ((CaptureEvent) -> Void)?
  }
}

/// What the owner tells the thread, and what the thread counts.
final class CaptureControl: @unchecked Sendable {
  enum Order: Hashable { case rest, work, quit }

  let wakeUp: WakeUp
  private let lock = Lock()
  private var order = Order.rest
  /// Raised by each start, so that a stop and start in between is noticed.
  private var starts = 0
  private var counted = CaptureStatistics()

  init() throws(SystemError) { wakeUp = try WakeUp() }

  func setWanted(_ isWanted: Bool) {
    lock.withLock {
      guard order != .quit, isWanted != (order == .work) else { return }
      order = isWanted ? .work : .rest
      if isWanted { starts += 1 }
    }
    wakeUp.wake()
  }

  func quit() {
    lock.withLock { order = .quit }
    wakeUp.wake()
  }

  /// The order that stands now. Whatever woke the thread has been seen by then.
  func read() -> (order: Order, starts: Int) {
    wakeUp.clear()
    return lock.withLock { (order, starts) }
  }

  var statistics: CaptureStatistics { lock.withLock { counted } }

  func count(_ change: (inout CaptureStatistics) -> Void) { lock.withLock { change(&counted) } }
}

/// The loop of a source's thread.
final class CaptureRunner {
  private let producer: any FrameProducer
  private let control: CaptureControl
  private let onFrame: (FrameInfo, RawSpan) -> Void
  private let report: (CaptureEvent) -> Void
  private var nextBadReport = Instant.zero
  /// What the source last delivered, since it was wanted.
  private var lastFormat: PictureFormat?

  /// Bad frames in a row after which the source is opened anew.
  static let badFrameLimit = 60

  init(
    producer: any FrameProducer, control: CaptureControl, onFrame: @escaping (FrameInfo, RawSpan) -> Void,
    report: @escaping (CaptureEvent) -> Void
  ) {
    self.producer = producer
    self.control = control
    self.onFrame = onFrame
    self.report = report
  }

  func run() {
    while true {
      let (order, starts) = control.read()
      switch order {
      case .quit: return
      case .rest: _ = control.wakeUp.wait(until: nil)
      case .work:
        work(starts)
        report(.state(.idle))
      }
    }
  }

  /// Captures until told otherwise.
  private func work(_ starts: Int) {
    var failures = 0
    var attempts = 0
    lastFormat = nil
    while isWanted(starts) {
      if attempts > 0 { control.count { $0.reopened += 1 } }
      attempts += 1
      do throws(CaptureProblem) {
        try stream(starts, &failures)
      } catch {
        producer.close()
        failures += 1
        let delay = error.retryDelay(failures: failures)
        report(.state(.failed(error, retryAfter: delay)))
        standIn(until: MonotonicClock.now + delay, starts)
      }
    }
  }

  /// One opening of the source, from the first frame to the last.
  private func stream(_ starts: Int, _ failures: inout Int) throws(CaptureProblem) {
    report(.state(.opening))
    let format = try producer.open()
    var isStreaming = false
    var badInARow = 0
    while isWanted(starts) {
      var missed: UInt32 = 0
      var isStamped = false
      let step = try producer.next(control.wakeUp) { info, bytes in
        missed = info.missed
        isStamped = info.isStamped
        if !isStreaming || info.format != lastFormat {
          isStreaming = true
          lastFormat = info.format
          var now = format
          now.picture = info.format
          report(.state(.streaming(now)))
        }
        onFrame(info, bytes)
      }
      switch step {
      case .frame:
        failures = 0
        badInARow = 0
        control.count {
          $0.frames += 1
          $0.missedFrames += UInt64(missed)
          if isStamped { $0.stampedFrames += 1 }
        }
      case .bad(let frame):
        badInARow += 1
        tell(frame)
        if badInARow == Self.badFrameLimit { throw .onlyBadFrames }
      case .nothing:
        // A driver that is ready over and over with nothing to give must not take the processor.
        _ = control.wakeUp.wait(until: MonotonicClock.now + .milliseconds(1))
      case .ended:
        producer.close()
        report(.state(.ended))
        rest(until: nil, starts)
        return
      }
    }
    producer.close()
  }

  private func tell(_ frame: BadFrame) {
    control.count { $0.badFrames += 1 }
    let now = MonotonicClock.now
    guard now >= nextBadReport else { return }
    nextBadReport = now + .seconds(1)
    report(.badFrame(frame))
  }

  /// Who watched pictures sees that there are none; one a second, for those who come later.
  private func standIn(until deadline: Instant, _ starts: Int) {
    guard let format = lastFormat else { return rest(until: deadline, starts) }
    let picture = Placeholder.picture(format)
    while isWanted(starts) {
      let now = MonotonicClock.now
      guard now < deadline else { return }
      let info = FrameInfo(format: format, sequence: 0, missed: 0, captured: now, isPlaceholder: true)
      onFrame(info, picture.span.bytes)
      rest(until: min(deadline, now + .seconds(1)), starts)
    }
  }

  private func rest(until deadline: Instant?, _ starts: Int) {
    while isWanted(starts), control.wakeUp.wait(until: deadline) {}
  }

  private func isWanted(_ starts: Int) -> Bool { control.read() == (.work, starts) }
}
