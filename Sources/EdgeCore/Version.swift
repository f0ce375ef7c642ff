/// The version both programs report.
public enum Version {
  public static let current = "0.1.0"
}
