import Alarms
import CPIM
import Config
import EdgeCore
import LinuxIO
import SIP
import Uplink
import UserAgent

/// What becomes of the events of a node's cameras: journal, pictures, and messages that wait for the link.
final class AlarmSender {
  /// Hands a message to the link; `nil` when there is none.
  var send: ((_ receiver: String, _ body: [UInt8]) -> MessageHandle?)?

  private let reactor: Reactor
  private let log: Log
  private let sender: String
  private let domain: String
  private let journal: EventJournal?
  private var desks: [String: AlarmDesk] = [:]
  private var queue: [Outgoing] = []
  private var underWay: MessageHandle?
  private var timer: Reactor.TimerToken?
  private var lastID: Int64 = 0
  private var current: [String: String] = [:]

  private struct Outgoing {
    var receiver: String
    var id: String
    var contentType: String
    var body: [UInt8]
    var attempts = 0
  }

  /// Messages that wait for the link; the oldest make room.
  private static let longestQueue = 64
  private static let mostAttempts = 100
  private static let retry: Duration = .seconds(2)
  /// Bytes of a picture, so that message and head fit a SIP message (the server takes 48 KiB).
  static let largestPicture = 47 << 10

  init(reactor: Reactor, log: Log, sender: String, domain: String, directory: String) {
    self.reactor = reactor
    self.log = log
    self.sender = sender
    self.domain = domain
    do throws(FileError) {
      journal = try EventJournal(directory: directory)
    } catch {
      journal = nil
      log.error("events.cannot-be-kept", ("why", error.description))
    }
  }

  func close() {
    if let timer { reactor.cancel(timer) }
    timer = nil
    send = nil
  }

  /// An event of a camera, as its desk decides.
  ///
  /// - Returns: the event, when a message was sent that a picture is to follow.
  @discardableResult
  func take(
    _ kind: AlarmEvent.Kind, _ phase: AlarmEvent.Phase, microseconds: Int64, of camera: NodeConfiguration.Camera,
    reason: String = ""
  ) -> AlarmEvent? {
    guard let alarms = camera.alarms else { return nil }
    let event = AlarmEvent(
      id: id(kind, phase, microseconds, camera.serial), kind: kind, phase: phase, serial: camera.serial,
      name: camera.name == camera.serial ? "" : camera.name, microseconds: microseconds, reason: reason)
    log.notice(
      "alarm", ("serial", camera.serial), ("kind", kind.rawValue), ("phase", phase.rawValue), ("id", event.id))
    let sent = desks[camera.serial, default: AlarmDesk(interval: alarms.interval)].take(event, at: reactor.now)
    note(sent ?? event, isSent: sent != nil)
    guard let sent else {
      arm()
      return nil
    }
    post(sent, to: alarms, of: camera)
    return sent.phase == .begin && kind != .lost ? sent : nil
  }

  /// The same for the end of what began; else one that is larger than all before.
  private func id(
    _ kind: AlarmEvent.Kind, _ phase: AlarmEvent.Phase, _ microseconds: Int64, _ serial: String
  ) -> String {
    let key = "\(kind.rawValue) \(serial)"
    if phase == .end, let known = current.removeValue(forKey: key) { return known }
    lastID = max(lastID + 1, microseconds)
    let id = "\(lastID)"
    if phase == .begin { current[key] = id }
    return id
  }

  /// A picture of an event that was sent.
  func take(_ picture: Snapshot, of event: AlarmEvent, to alarms: CameraAlarms) {
    if let journal {
      do throws(FileError) {
        let path = try journal.pictures.keep(
          picture.bytes, name: event.id + "-" + event.serial, suffix: picture.isJPEG ? ".jpg" : ".png")
        try journal.note(event, isSent: true, picture: path)
      } catch {
        log.error("events.cannot-be-kept", ("why", error.description))
      }
    }
    guard picture.bytes.count <= Self.largestPicture else { return }
    for receiver in alarms.receivers.isEmpty ? [event.serial] : alarms.receivers {
      add(
        Outgoing(
          receiver: receiver, id: event.id + "-picture", contentType: event.contentType(ofPicture: picture.contentType),
          body: picture.bytes))
    }
  }

  private func note(_ event: AlarmEvent, isSent: Bool) {
    do throws(FileError) {
      try journal?.note(event, isSent: isSent)
    } catch {
      log.error("events.cannot-be-kept", ("why", error.description))
    }
  }

  // MARK: Sending

  private func post(_ event: AlarmEvent, to alarms: CameraAlarms, of camera: NodeConfiguration.Camera) {
    for receiver in alarms.receivers.isEmpty ? [camera.serial] : alarms.receivers {
      add(
        Outgoing(
          receiver: receiver, id: event.id + "-" + event.phase.rawValue, contentType: event.contentType,
          body: Array(event.text.utf8)))
    }
  }

  private func add(_ message: Outgoing) {
    if queue.count >= Self.longestQueue {
      // Not the one that is under way.
      queue.remove(at: underWay == nil ? 0 : 1)
      log.warning("alarm.dropped", ("why", "no link to the server for too long"))
    }
    queue.append(message)
    pump()
  }

  /// Sends the oldest; the next follows its answer, so that they come in order.
  func pump() {
    guard underWay == nil, let first = queue.first else { return }
    // The same name however often it is sent: the server takes it once.
    let content = CPIMMessage(
      from: "sip:\(sender)@\(domain)", to: "sip:\(first.receiver)@\(domain)",
      dateTime: Timestamp.text(reactor.wallClockSeconds), messageID: first.id, contentType: first.contentType,
      body: first.body)
    underWay = send?(first.receiver, content.serialized)
    if underWay == nil { arm() }
  }

  func answered(_ handle: MessageHandle, _ status: StatusCode?) {
    guard handle == underWay, !queue.isEmpty else { return }
    underWay = nil
    queue[0].attempts += 1
    let isTemporary = status.map { $0 == 408 || $0.value >= 500 } ?? true
    if isTemporary, queue[0].attempts < Self.mostAttempts { return arm() }
    if let status, !status.isSuccess {
      log.warning("alarm.refused", ("receiver", queue[0].receiver), ("status", "\(status.value)"))
    }
    queue.removeFirst()
    pump()
  }

  /// For what is due later: another attempt, or what a desk held back.
  private func arm() {
    guard timer == nil else { return }
    var deadline: Instant?
    if !queue.isEmpty, underWay == nil { deadline = reactor.now + Self.retry }
    for desk in desks.values { deadline = Instant.earliest(deadline, desk.nextDeadline) }
    guard let deadline else { return }
    timer = reactor.schedule(at: max(deadline, reactor.now + .milliseconds(10))) { [unowned(unsafe) self] in
      timer = nil
      tick()
    }
  }

  /// Cameras whose desks may owe a message.
  var cameras: [NodeConfiguration.Camera] = []

  private func tick() {
    for camera in cameras {
      while let event = desks[camera.serial]?.tick(at: reactor.now), let alarms = camera.alarms {
        post(event, to: alarms, of: camera)
      }
    }
    pump()
    arm()
  }
}
