import CLinux
public import LinuxIO

/// One setting a driver offers (V4L2 API, "User Controls").
public struct CameraSetting: Hashable, Sendable {
  public enum Kind: Hashable, Sendable { case integer, boolean, menu }

  public var id: UInt32
  /// The driver's words.
  public var text: [UInt8]
  public var kind: Kind
  public var minimum: Int32
  public var maximum: Int32
  public var step: Int32
  public var standard: Int32
  public var value: Int32
}

/// Reads and changes a camera's settings through an opening of its own, which any number of programs may have beside the
/// one that streams.
public final class CameraSettings {
  private let driver: any VideoDriver

  public convenience init(path: String) throws(CaptureProblem) {
    let driver: KernelVideoDriver
    do throws(SystemError) {
      driver = try KernelVideoDriver(path: path)
    } catch {
      throw CaptureProblem(opening: error)
    }
    self.init(driver: driver)
  }

  init(driver: any VideoDriver) { self.driver = driver }

  private static let mostSettings = 128

  /// Integers, switches and menus that are not disabled, in the driver's order.
  public func list() -> [CameraSetting] {
    var settings: [CameraSetting] = []
    var last: UInt32 = 0
    for _ in 0..<Self.mostSettings {
      var query = v4l2_queryctrl()
      query.id = last | Flag.next
      guard driver.request(.queryControl, &query) == 0, query.id > last else { break }
      last = query.id
      guard query.flags & Flag.disabled == 0, let kind = Self.kind(query.type) else { continue }
      var control = v4l2_control()
      control.id = query.id
      guard driver.request(.control, &control) == 0 else { continue }
      settings.append(
        CameraSetting(
          id: query.id, text: Self.text(&query.name), kind: kind, minimum: query.minimum, maximum: query.maximum,
          step: query.step, standard: query.default_value, value: control.value))
    }
    return settings
  }

  /// The driver brings the value within its bounds, or refuses it.
  public func set(_ id: UInt32, to value: Int32) throws(SystemError) {
    var control = v4l2_control()
    control.id = id
    control.value = value
    let code = driver.request(.setControl, &control)
    guard code == 0 else { throw SystemError(call: "VIDIOC_S_CTRL", errno: code) }
  }

  private static func kind(_ type: UInt32) -> CameraSetting.Kind? {
    switch type {
    case V4L2_CTRL_TYPE_INTEGER.rawValue: .integer
    case V4L2_CTRL_TYPE_BOOLEAN.rawValue: .boolean
    case V4L2_CTRL_TYPE_MENU.rawValue, V4L2_CTRL_TYPE_INTEGER_MENU.rawValue: .menu
    default: nil
    }
  }

  private static func text<Field>(_ field: inout Field) -> [UInt8] {
    withUnsafeBytes(of: &field) { $0.prefix { $0 != 0 }.map { $0 < 0x20 || $0 >= 0x7F ? UInt8(ascii: "?") : $0 } }
  }

  /// linux/videodev2.h.
  private enum Flag {
    static let next: UInt32 = 0x8000_0000
    static let disabled: UInt32 = 0x1
  }
}
