/// Finds what somebody probably meant.
public enum Suggestion {
  /// The candidate that differs from `word` by the fewest slips (a letter too many, too few, wrong, or two
  /// swapped), if those are few for its length. Letter case does not count. The first one on a tie.
  public static func closest(to word: String, among candidates: [String]) -> String? {
    let wanted = Array(ASCII.lowercased(word).utf8)
    guard !wanted.isEmpty, wanted.count <= 64 else { return nil }
    var best: (candidate: String, slips: Int)?
    for candidate in candidates {
      let other = Array(ASCII.lowercased(candidate).utf8)
      let allowed = max(wanted.count, other.count) < 6 ? 1 : max(2, other.count / 3)
      let slips = distance(wanted, other)
      if slips <= allowed, slips < other.count, slips < best?.slips ?? .max { best = (candidate, slips) }
    }
    return best?.candidate
  }

  /// Optimal string alignment distance.
  static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var beforeLast = [Int](repeating: 0, count: b.count + 1)
    var last = Array(0...b.count)
    for i in 0..<a.count {
      var row = [i + 1]
      row.reserveCapacity(b.count + 1)
      for j in 0..<b.count {
        var cost = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, beforeLast[j - 1] + 1) }
        row.append(cost)
      }
      beforeLast = last
      last = row
    }
    return last[b.count]
  }
}
