import CLinux

/// What comes in at a digital input (HDMI, SDI) has a size of its own, which changes when the source does.
extension CameraDevice {
  struct Signal: Hashable {
    var width: Int
    var height: Int
  }

  /// Agrees with a digital input on what comes in; `nil` for a device whose picture is its own, like a webcam's.
  func followSignal() throws(CaptureProblem) -> Signal? {
    // Before looking, so that no change falls in between.
    subscribe()
    var timings = v4l2_dv_timings()
    guard let signal = try read(&timings) else { return nil }
    let code = driver.request(.setTimings, &timings)
    guard code == 0 else { throw CaptureProblem("VIDIOC_S_DV_TIMINGS", errno: code) }
    return signal
  }

  /// Just before the stream begins. Some drivers tell of the change that agreeing on the signal is: only another signal
  /// counts.
  func confirmSignal() throws(CaptureProblem) {
    guard sourceHasChanged(), signal != nil else { return }
    var timings = v4l2_dv_timings()
    if try read(&timings) != signal { throw .sourceChanged }
  }

  /// Takes the events that wait. Whether one says that the source is another.
  func sourceHasChanged() -> Bool {
    var hasChanged = false
    for _ in 0..<Self.mostEvents {
      var event = v4l2_event()
      guard driver.request(.dequeueEvent, &event) == 0 else { break }
      if event.type == Event.sourceChange, event.u.src_change.changes & Event.resolution != 0 { hasChanged = true }
    }
    return hasChanged
  }

  private func subscribe() {
    guard !isSubscribed else { return }
    // "The id must match the input index."
    var input: Int32 = 0
    if driver.request(.input, &input) != 0 { input = 0 }
    var subscription = v4l2_event_subscription()
    subscription.type = Event.sourceChange
    subscription.id = UInt32(clamping: input)
    // Most cameras have no such event.
    isSubscribed = driver.request(.subscribeEvent, &subscription) == 0
  }

  private func read(_ timings: inout v4l2_dv_timings) throws(CaptureProblem) -> Signal? {
    let code = driver.request(.queryTimings, &timings)
    switch code {
    case 0: return Signal(width: Int(timings.bt.width), height: Int(timings.bt.height))
    // Nothing, or nothing steady, or nothing the input can do.
    case ENOLINK, ENOLCK, ERANGE: throw CaptureProblem("VIDIOC_QUERY_DV_TIMINGS", errno: code)
    default: return nil
    }
  }

  private static let mostEvents = 64

  /// linux/videodev2.h.
  private enum Event {
    static let sourceChange: UInt32 = 5
    static let resolution: UInt32 = 1
  }
}
