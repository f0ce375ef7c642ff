internal import CYaml

extension YAMLNode {
  /// Parses one YAML document. Anchors, aliases, tags and a second document are refused: a
  /// configuration needs none of them, and aliases can make a small file enormous.
  ///
  /// - Parameter file: the name to print in front of problems.
  public init(yaml bytes: [UInt8], file: String) throws(ConfigError) {
    guard bytes.count <= YAMLLimits.bytes else {
      throw ConfigError(file: file, line: 1, "larger than \(YAMLLimits.bytes / 1024) KiB")
    }
    let result: Result<YAMLNode, ConfigError> = bytes.withUnsafeBufferPointer { buffer in
      var builder = TreeBuilder(file: file)
      do throws(ConfigError) {
        return .success(try builder.run(buffer))
      } catch {
        return .failure(error)
      }
    }
    self = try result.get()
  }
}

/// Turns libyaml's events into a tree, without recursion.
private struct TreeBuilder {
  let file: String
  private var open: [Collection] = []
  private var root: YAMLNode?
  private var nodes = 0

  private struct Collection {
    var line: Int
    var isMapping: Bool
    var items: [YAMLNode] = []
    var entries: [YAMLNode.Entry] = []
    /// A key that waits for its value.
    var key: (text: String, line: Int)?
  }

  init(file: String) { self.file = file }

  mutating func run(_ input: UnsafeBufferPointer<UInt8>) throws(ConfigError) -> YAMLNode {
    let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
    defer { parser.deallocate() }
    guard yaml_parser_initialize(parser) == 1 else { throw problem(1, "out of memory") }
    defer { yaml_parser_delete(parser) }
    yaml_parser_set_input_string(parser, input.baseAddress, input.count)
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)

    var documents = 0
    while true {
      var event = yaml_event_t()
      guard yaml_parser_parse(parser, &event) == 1 else { throw syntaxProblem(parser) }
      defer { yaml_event_delete(&event) }
      let line = Int(event.start_mark.line) + 1
      switch event.type {
      case YAML_STREAM_END_EVENT:
        return root ?? YAMLNode(content: .scalar("", isPlain: true), line: 1)
      case YAML_DOCUMENT_START_EVENT:
        documents += 1
        guard documents == 1 else { throw problem(line, "a second document ('---') is not allowed") }
      case YAML_ALIAS_EVENT:
        throw problem(line, "aliases ('*name') are not allowed")
      case YAML_SCALAR_EVENT:
        let scalar = event.data.scalar
        try refuse(anchor: scalar.anchor, tag: scalar.tag, line)
        let text = String(
          decoding: UnsafeBufferPointer(start: scalar.value, count: Int(scalar.length)), as: UTF8.self)
        try add(
          YAMLNode(
            content: .scalar(text, isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE), line: line))
      case YAML_SEQUENCE_START_EVENT:
        try refuse(anchor: event.data.sequence_start.anchor, tag: event.data.sequence_start.tag, line)
        try begin(Collection(line: line, isMapping: false))
      case YAML_MAPPING_START_EVENT:
        try refuse(anchor: event.data.mapping_start.anchor, tag: event.data.mapping_start.tag, line)
        try begin(Collection(line: line, isMapping: true))
      case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT:
        let done = open.removeLast()
        try add(
          YAMLNode(content: done.isMapping ? .mapping(done.entries) : .sequence(done.items), line: done.line))
      default:
        continue
      }
    }
  }

  private mutating func begin(_ collection: Collection) throws(ConfigError) {
    guard open.count < YAMLLimits.depth else { throw problem(collection.line, "nested too deeply") }
    if let parent = open.last, parent.isMapping, parent.key == nil {
      throw problem(collection.line, "a key must be a word")
    }
    open.append(collection)
  }

  private mutating func add(_ node: YAMLNode) throws(ConfigError) {
    nodes += 1
    guard nodes <= YAMLLimits.nodes else { throw problem(node.line, "too many values") }
    guard let index = open.indices.last else {
      root = node
      return
    }
    guard open[index].isMapping else {
      open[index].items.append(node)
      return
    }
    if let key = open[index].key {
      open[index].key = nil
      open[index].entries.append(.init(key: key.text, line: key.line, value: node))
      return
    }
    guard case .scalar(let text, _) = node.content else { throw problem(node.line, "a key must be a word") }
    // Quadratic in the keys of one mapping, so their number is bounded.
    guard open[index].entries.count < 256 else { throw problem(node.line, "too many keys") }
    for entry in open[index].entries where entry.key == text {
      throw problem(node.line, "'\(printable(text))' is here twice, first on line \(entry.line)")
    }
    open[index].key = (text, node.line)
  }

  private func refuse(
    anchor: UnsafeMutablePointer<yaml_char_t>?, tag: UnsafeMutablePointer<yaml_char_t>?, _ line: Int
  ) throws(ConfigError) {
    if anchor != nil { throw problem(line, "anchors ('&name') are not allowed") }
    if tag != nil { throw problem(line, "tags ('!name') are not allowed") }
  }

  private func problem(_ line: Int, _ message: String) -> ConfigError {
    ConfigError(file: file, line: line, message)
  }

  private func syntaxProblem(_ parser: UnsafeMutablePointer<yaml_parser_t>) -> ConfigError {
    let reason = parser.pointee.problem.map { String(cString: $0) } ?? "cannot be read"
    // The scanner and parser set a mark; the reader (bad UTF-8) leaves it at zero.
    let line = max(parser.pointee.problem_mark.line, parser.pointee.mark.line)
    return problem(Int(line) + 1, "not valid YAML: \(reason)")
  }
}
