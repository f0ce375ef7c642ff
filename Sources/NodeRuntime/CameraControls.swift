import Capture
import LinuxIO
import NodeLogic

/// Asks a camera's driver on a thread of its own: a camera on USB may take seconds to answer.
enum CameraControls {
  enum Order: Sendable {
    case list
    case set(name: String, value: Int64)
  }

  private struct Answer: Sendable {
    var controls: [CameraControl]
    var failure: String?
  }

  /// Keeps the mailbox until the answer came.
  private final class Inlet {
    var mailbox: Mailbox<Answer>?
  }

  /// `done` is called once, on the reactor: with all settings, or the one that was set as it is now.
  static func perform(
    _ order: Order, device path: String, reactor: Reactor, done: @escaping ([CameraControl], String?) -> Void
  ) {
    let inlet = Inlet()
    do throws(SystemError) {
      let mailbox = try Mailbox<Answer>(reactor: reactor, capacity: 1) { answer in
        // It is what is calling us.
        reactor.enqueue(.bulk) {
          inlet.mailbox?.close()
          inlet.mailbox = nil
        }
        done(answer.controls, answer.failure)
      }
      inlet.mailbox = mailbox
      _ = try LinuxIO.Thread(name: "controls") { mailbox.post(ask(order, path)) }
    } catch {
      inlet.mailbox?.close()
      done([], "\(error)")
    }
  }

  private static func ask(_ order: Order, _ path: String) -> Answer {
    let settings: CameraSettings
    do throws(CaptureProblem) {
      settings = try CameraSettings(path: path)
    } catch {
      return Answer(controls: [], failure: error.text(path))
    }
    let known = settings.list()
    switch order {
    case .list: return Answer(controls: known.map { control($0) }, failure: nil)
    case .set(let name, let value):
      guard let setting = known.first(where: { CameraControl.name(of: $0.text) == name }) else {
        return Answer(controls: [], failure: "the camera has no setting '\(name)'")
      }
      guard value >= Int64(setting.minimum), value <= Int64(setting.maximum) else {
        return Answer(controls: [], failure: "\(name) goes from \(setting.minimum) to \(setting.maximum)")
      }
      do throws(SystemError) {
        try settings.set(setting.id, to: Int32(value))
      } catch {
        return Answer(controls: [], failure: "the driver refused \(name)=\(value): \(error)")
      }
      return Answer(controls: settings.list().filter { $0.id == setting.id }.map { control($0) }, failure: nil)
    }
  }

  private static func control(_ setting: CameraSetting) -> CameraControl {
    let kind: CameraControl.Kind =
      switch setting.kind {
      case .integer: .integer
      case .boolean: .boolean
      case .menu: .menu
      }
    return CameraControl(
      name: CameraControl.name(of: setting.text), kind: kind, minimum: Int64(setting.minimum),
      maximum: Int64(setting.maximum), step: Int64(setting.step), standard: Int64(setting.standard),
      value: Int64(setting.value), text: String(decoding: setting.text, as: UTF8.self))
  }
}
