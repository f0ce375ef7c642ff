internal import EdgeCore

/// `edge camera`
public struct CameraOptions: Hashable, Sendable {
  public enum Action: Hashable, Sendable {
    case list
    case set(name: String, value: Int64)
  }

  public var serial: String
  public var account: AccountOptions
  public var action: Action
}

extension CameraOptions {
  static let syntax = CommandSyntax(
    "camera", summary: "read and change a camera's settings",
    discussion: """
      Lists the settings of a camera's driver (brightness, exposure, ...), or changes one, through the same encrypted \
      session as its pictures.
      """,
    arguments: [
      .init("SERIAL", "the camera's serial number, as edge devices lists it"),
      .init("ACTION", "list or set"),
      .init("NAME=VALUE", "for set: the setting, and a whole number within its bounds", isOptional: true),
    ], options: AccountOptions.options)

  init(_ parsed: ParsedArguments) throws(UsageError) {
    serial = parsed.arguments[0]
    guard Names.isValidSerial(serial) else { throw UsageError("'\(serial)' is not a serial number") }
    account = try AccountOptions(parsed)
    switch parsed.arguments[1] {
    case "list":
      guard parsed.arguments.count == 2 else { throw UsageError("list takes nothing more") }
      action = .list
    case "set":
      guard parsed.arguments.count == 3 else { throw UsageError("set needs NAME=VALUE") }
      action = try Self.setting(parsed.arguments[2])
    default: throw UsageError("unknown action '\(parsed.arguments[1])'; known are list, set")
    }
  }

  private static func setting(_ text: String) throws(UsageError) -> Action {
    let parts = Array(text.utf8).split(separator: UInt8(ascii: "="), omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, parts[0].allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      throw UsageError("'\(text)' is not NAME=VALUE, such as brightness=100")
    }
    let isNegative = parts[1].first == UInt8(ascii: "-")
    guard let number = ASCII.decimal(isNegative ? parts[1].dropFirst() : parts[1], max: UInt64(Int32.max)) else {
      throw UsageError("'\(text)': the value is a whole number")
    }
    return .set(name: String(decoding: parts[0], as: UTF8.self), value: isNegative ? -Int64(number) : Int64(number))
  }
}
