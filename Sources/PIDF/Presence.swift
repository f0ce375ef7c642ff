/// A presence document (PIDF, RFC 3863): what a node has on its network, one tuple per resource.
///
///     <presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:e="urn:edge:resource:1" entity="sip:gate-box@rv.example.org">
///       <tuple id="t-CAM-1">
///         <status><basic>open</basic></status>
///         <e:serial>CAM-1</e:serial> <e:type>v4l2</e:type> <e:ip/> <e:port/> <e:name/> <e:formats>YUYV MJPEG</e:formats>
///         <contact>sip:CAM-1@rv.example.org</contact>
///         <timestamp>2026-11-21T06:21:15Z</timestamp>
///       </tuple>
///     </presence>
///
/// Elements with nothing to say are left out. Reading is `XMLDocument`'s.
public struct Presence: Hashable, Sendable {
  public static let contentType = "application/pidf+xml"
  /// RFC 3863 §4.1.1.
  public static let namespace = "urn:ietf:params:xml:ns:pidf"
  /// The elements RFC 3863 has no word for: serial, type, ip, port, name, formats, relation.
  public static let resourceNamespace = "urn:edge:resource:1"

  public struct Tuple: Hashable, Sendable {
    /// An XML name, unique in the document; made of the serial when ours (RFC 3863 §4.1.2).
    public var id: String
    /// `basic` is `open`. A camera that is unplugged is published as closed.
    public var isOpen: Bool
    /// Empty in the documents of programs that know nothing of ours.
    public var serial: String
    /// `v4l2`, `testcard`, `file`, `rtsp`, `http`, `tcp`; empty when not told.
    public var type: String
    /// The address on the node's own network; empty when not told.
    public var ip: String
    public var port: UInt16?
    /// For people; empty when not told.
    public var name: String
    /// Words without spaces, such as `YUYV`.
    public var formats: [String]
    /// Of an account in somebody's contact list: how the two stand, `confirmed`, `requested` or `asking`; else empty.
    public var relation: String
    /// A URI.
    public var contact: String?
    /// When the status changed, in unix seconds.
    public var timestamp: Int64?

    public init(
      serial: String, type: String = "", ip: String = "", port: UInt16? = nil, name: String = "",
      formats: [String] = [], relation: String = "", isOpen: Bool = true, contact: String? = nil,
      timestamp: Int64? = nil, id: String? = nil
    ) {
      // An xs:ID may not begin with a digit, hyphen or dot.
      self.id = id ?? "t-" + serial
      self.isOpen = isOpen
      self.serial = serial
      self.type = type
      self.ip = ip
      self.port = port
      self.name = name
      self.formats = formats
      self.relation = relation
      self.contact = contact
      self.timestamp = timestamp
    }
  }

  /// The URI of who is described.
  public var entity: String
  public var tuples: [Tuple]

  public init(entity: String, tuples: [Tuple] = []) {
    self.entity = entity
    self.tuples = tuples
  }
}
