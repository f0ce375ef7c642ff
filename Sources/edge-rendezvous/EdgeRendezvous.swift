import RendezvousRuntime

@main
struct EdgeRendezvous {
  static func main() { RendezvousCommandLine.start() }
}
