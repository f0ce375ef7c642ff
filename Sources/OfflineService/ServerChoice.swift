/// Which media server takes the next message: weighted least connections, min Count(Si) / Weight(Si).
public struct ServerChoice: Hashable, Sendable {
  /// 1 or more: how much of the work each takes in proportion.
  public let weights: [Int]
  /// MSRP sessions each carries now.
  public private(set) var counts: [Int]

  public init(weights: [Int]) {
    self.weights = weights.map { max(1, $0) }
    counts = weights.map { _ in 0 }
  }

  /// Among equals the heaviest, then the first.
  public func best(where isReady: (Int) -> Bool) -> Int? {
    var best: Int?
    for index in weights.indices where isReady(index) {
      guard let other = best else {
        best = index
        continue
      }
      // a/b < c/d without a division.
      let mine = counts[index] * weights[other]
      let its = counts[other] * weights[index]
      if mine < its || mine == its && weights[index] > weights[other] { best = index }
    }
    return best
  }

  public mutating func opened(_ server: Int) { counts[server] += 1 }

  public mutating func closed(_ server: Int) { counts[server] = max(0, counts[server] - 1) }
}
