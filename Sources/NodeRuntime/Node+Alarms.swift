import Alarms
import Config
import EdgeCore
import LinuxIO
import Uplink
import UserAgent

/// What the cameras' owners are told of (docs/alarms.md).
extension Node {
  /// Called once, before the link is started.
  func startAlarms() {
    let watched = feeds.filter { $0.configuration.alarms != nil }
    guard !watched.isEmpty else { return }
    let sender = AlarmSender(
      reactor: reactor, log: log, sender: configuration.rendezvous.account, domain: configuration.rendezvous.domain,
      directory: configuration.node.stateDirectory)
    sender.cameras = watched.map { $0.configuration }
    sender.send = { [unowned(unsafe) self] receiver, body in
      uplink.perform { $0.sendMessage(to: receiver, contentType: "message/cpim", body: body, at: $1, into: &$2) }
    }
    alarmSender = sender
    for feed in watched {
      feed.onSight = { [unowned(unsafe) self, unowned(unsafe) feed] sight in
        guard let alarms = feed.configuration.alarms else { return }
        let sent = alarmSender?.take(
          sight.kind, sight.phase, microseconds: sight.microseconds, of: feed.configuration)
        if let sent { takePicture(of: sent, feed, alarms, maxWidth: Self.pictureWidths[0]) }
      }
      feed.startAlarms()
    }
  }

  /// From the largest down, until one fits a message.
  private static var pictureWidths: [Int] { [320, 160] }

  private func takePicture(of event: AlarmEvent, _ feed: CameraFeed, _ alarms: CameraAlarms, maxWidth: Int) {
    feed.snapshot(maxWidth: maxWidth) { [unowned(unsafe) self, unowned(unsafe) feed] picture, why in
      guard let picture else { return log.warning("alarm.no-picture", ("id", event.id), ("why", why)) }
      if picture.bytes.count > AlarmSender.largestPicture,
        let smaller = Self.pictureWidths.first(where: { $0 < picture.width })
      {
        return takePicture(of: event, feed, alarms, maxWidth: smaller)
      }
      alarmSender?.take(picture, of: event, to: alarms)
    }
  }
}
