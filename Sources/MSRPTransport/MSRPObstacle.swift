/// Why there is no way for a session.
struct MSRPObstacle {
  var why: String
  /// Trying again does not help: a setting must change, here or there.
  var isLasting = false

  init(_ why: String, isLasting: Bool = false) {
    self.why = why
    self.isLasting = isLasting
  }
}
