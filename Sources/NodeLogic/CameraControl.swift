import EdgeCore

/// One setting of a camera, as its driver describes it: brightness, exposure, ...
public struct CameraControl: Hashable, Sendable {
  public enum Kind: String, Hashable, Sendable { case integer, boolean, menu }

  /// In lower case with underscores: `white_balance_automatic`.
  public var name: String
  public var kind: Kind
  public var minimum: Int64
  public var maximum: Int64
  public var step: Int64
  public var standard: Int64
  public var value: Int64
  /// The driver's own words; for a menu those of its entries too.
  public var text: String

  public init(
    name: String, kind: Kind, minimum: Int64, maximum: Int64, step: Int64, standard: Int64, value: Int64, text: String
  ) {
    self.name = name
    self.kind = kind
    self.minimum = minimum
    self.maximum = maximum
    self.step = step
    self.standard = standard
    self.value = value
    self.text = text
  }

  /// `White Balance, Automatic` becomes `white_balance_automatic`, as v4l2-ctl has it.
  public static func name(of text: [UInt8]) -> String {
    var name: [UInt8] = []
    for byte in text {
      let lower = byte &- 0x41 < 26 ? byte | 0x20 : byte
      if lower &- 0x61 < 26 || lower &- 0x30 < 10 {
        name.append(lower)
      } else if name.last != UInt8(ascii: "_"), !name.isEmpty {
        name.append(UInt8(ascii: "_"))
      }
    }
    if name.last == UInt8(ascii: "_") { name.removeLast() }
    return String(decoding: name, as: UTF8.self)
  }

  var line: String {
    "control name=\(name) kind=\(kind.rawValue) min=\(minimum) max=\(maximum) step=\(step) default=\(standard) "
      + "value=\(value) text=\(text)"
  }

  init?(_ words: ControlWords) {
    guard let name = words.text("name"), let kind = words.text("kind").flatMap({ Kind(rawValue: $0) }),
      let minimum = words.integer("min"), let maximum = words.integer("max"), let value = words.integer("value")
    else { return nil }
    self.init(
      name: name, kind: kind, minimum: minimum, maximum: maximum, step: words.integer("step") ?? 1,
      standard: words.integer("default") ?? 0, value: value, text: words.rest)
  }
}
