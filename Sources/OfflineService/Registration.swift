/// The contacts an account has now, as a notification of its registration says (RFC 3680).
public struct Registration: Hashable, Sendable {
  public struct Terminal: Hashable, Sendable {
    /// The device: `+sip.instance`, or its contact when it gave none.
    public var name: String
    /// The Contact URI.
    public var contact: String
    /// The Route to it (RFC 3327): several devices may have the same contact.
    public var path: String

    public init(name: String, contact: String, path: String) {
      self.name = name
      self.contact = contact
      self.path = path
    }
  }

  public var account: String
  /// Empty: nobody is registered.
  public var terminals: [Terminal]

  public init(account: String, terminals: [Terminal]) {
    self.account = account
    self.terminals = terminals
  }
}
