import CommandLine

@main
struct Edge {
  static func main() { EdgeProgram.start() }
}
