import PIDF
import Testing

@Suite("Presence writer")
struct PresenceWriterTests {
  static let presence = Presence(
    entity: "sip:gate-box@rv.example.org",
    tuples: [
      .init(
        serial: "CAM-1", type: "v4l2", name: "Front & back", formats: ["YUYV", "MJPEG"],
        contact: "sip:CAM-1@rv.example.org", timestamp: 1_795_242_075),
      .init(serial: "2", type: "rtsp", ip: "192.168.1.40", port: 554, isOpen: false),
    ])

  @Test func `one tuple for each resource, in the order of the schema`() {
    #expect(
      Self.presence.serialized
        == """
        <?xml version="1.0" encoding="UTF-8"?>\r
        <presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:e="urn:edge:resource:1" entity="sip:gate-box@rv.example.org">\r
        <tuple id="t-CAM-1"><status><basic>open</basic></status><e:serial>CAM-1</e:serial><e:type>v4l2</e:type><e:name>Front &amp; back</e:name><e:formats>YUYV MJPEG</e:formats><contact>sip:CAM-1@rv.example.org</contact><timestamp>2026-11-21T06:21:15Z</timestamp></tuple>\r
        <tuple id="t-2"><status><basic>closed</basic></status><e:serial>2</e:serial><e:type>rtsp</e:type><e:ip>192.168.1.40</e:ip><e:port>554</e:port></tuple>\r
        </presence>\r

        """)
  }

  @Test func `a limit leaves tuples out and never cuts one`() {
    let whole = Self.presence.serialized
    let (fitting, none) = Self.presence.serialized(limit: whole.utf8.count)
    #expect(fitting == whole)
    #expect(none == 0)
    let (shorter, left) = Self.presence.serialized(limit: whole.utf8.count - 1)
    #expect(left == 1)
    #expect(shorter.hasSuffix("</tuple>\r\n</presence>\r\n"))
    #expect(Self.presence.serialized(limit: 0).leftOut == 2)
  }
}
