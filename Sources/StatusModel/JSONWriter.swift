/// Writes JSON text: one line, or indented by two spaces for people.
public struct JSONWriter {
  public enum Style: Hashable, Sendable { case oneLine, indented }

  private let style: Style
  private var bytes: [UInt8] = []

  private init(style: Style) { self.style = style }

  /// Without a newline at the end.
  public static func text(_ value: JSONValue, style: Style = .oneLine) -> String {
    var writer = JSONWriter(style: style)
    writer.write(value, depth: 0)
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  private mutating func write(_ value: JSONValue, depth: Int) {
    switch value {
    case .null: add("null")
    case .bool(let value): add(value ? "true" : "false")
    case .number(let text): add(text)
    case .string(let text): write(text)
    case .array(let elements):
      add("[")
      for (index, element) in elements.enumerated() {
        if index > 0 { add(",") }
        newLine(depth + 1)
        write(element, depth: depth + 1)
      }
      if !elements.isEmpty { newLine(depth) }
      add("]")
    case .object(let members):
      add("{")
      for (index, member) in members.enumerated() {
        if index > 0 { add(",") }
        newLine(depth + 1)
        write(member.name)
        add(style == .indented ? ": " : ":")
        write(member.value, depth: depth + 1)
      }
      if !members.isEmpty { newLine(depth) }
      add("}")
    }
  }

  private mutating func add(_ text: String) { bytes += Array(text.utf8) }

  private mutating func newLine(_ depth: Int) {
    guard style == .indented else { return }
    bytes.append(0x0A)
    for _ in 0..<depth { bytes += [0x20, 0x20] }
  }

  /// RFC 8259 §7. DEL and the C1 controls are escaped too: they would move a terminal's cursor.
  private mutating func write(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x22: add("\\\"")
      case 0x5C: add("\\\\")
      case 0x0A: add("\\n")
      case 0x0D: add("\\r")
      case 0x09: add("\\t")
      case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029:
        let hex = String(scalar.value, radix: 16)
        add("\\u" + String(repeating: "0", count: 4 - hex.utf8.count) + hex)
      default: bytes += Array(String(scalar).utf8)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }
}
