/// A random source whose type does not show.
///
/// For machines too large to be compiled anew for every random source they are used with.
/// Copies share one source.
public struct AnyRandom: RandomNumberGenerator {
  private let draw: () -> UInt64

  public init(_ source: some RandomNumberGenerator) {
    var source = source
    draw = { source.next() }
  }

  public mutating func next() -> UInt64 { draw() }
}
