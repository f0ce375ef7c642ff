import Testing

/// What real peers send, line for line; addresses, names and credentials are examples.
enum Samples {
  static let fingerprint =
    "2D:F5:88:81:36:76:E4:92:2B:90:89:73:9A:EF:86:92:06:07:AB:C7:63:44:47:EE:27:55:5A:E7:CE:13:15:7B"

  /// Chromium 92 and later after gathering on a host with IPv4, IPv6 and STUN.
  static let chromiumOffer = crlf(
    """
    v=0
    o=- 1199580080461629164 2 IN IP4 127.0.0.1
    s=-
    t=0 0
    a=group:BUNDLE 0
    a=extmap-allow-mixed
    a=msid-semantic: WMS
    m=application 59267 UDP/DTLS/SCTP webrtc-datachannel
    c=IN IP4 203.0.113.5
    a=candidate:2254048910 1 udp 2122262783 2001:db8::a0ed:463d:b3d9:2e5b 59265 typ host generation 0 network-id 2
    a=candidate:1191081017 1 udp 2122129151 192.0.2.163 59267 typ host generation 0 network-id 1
    a=candidate:1185331415 1 udp 2113937151 89f5a495-acd8-4b46-8fbc-6955c5417fd2.local 56968 typ host generation 0 network-cost 999
    a=candidate:2782917333 1 udp 1685921535 203.0.113.5 59267 typ srflx raddr 192.0.2.163 rport 59267 generation 0 network-id 1
    a=candidate:3369726590 1 tcp 1518283007 2001:db8::a0ed:463d:b3d9:2e5b 9 typ host tcptype active generation 0 network-id 2
    a=ice-ufrag:YGmB
    a=ice-pwd:WVoPGXjvny3Bfo4SNN+39paC
    a=ice-options:trickle
    a=fingerprint:sha-256 \(fingerprint)
    a=setup:actpass
    a=mid:0
    a=sctp-port:5000
    a=max-message-size:262144
    """)

  /// Chromium answering before it has a candidate, as it does when it trickles.
  static let chromiumAnswer = crlf(
    """
    v=0
    o=- 8738333222359012689 2 IN IP4 127.0.0.1
    s=-
    t=0 0
    a=group:BUNDLE 0
    a=msid-semantic: WMS
    m=application 9 UDP/DTLS/SCTP webrtc-datachannel
    c=IN IP4 0.0.0.0
    b=AS:30
    a=ice-ufrag:l5wm
    a=ice-pwd:su3WRkaDRELDV6HAi04rrjhw
    a=ice-options:trickle
    a=fingerprint:sha-256 \(fingerprint)
    a=setup:active
    a=mid:0
    a=sctp-port:5000
    a=max-message-size:262144
    """)

  /// aiortc 1.x: no ice-options, three fingerprints of one certificate, 32-character foundations.
  static let aiortcOffer = crlf(
    """
    v=0
    o=- 4004229949 4004229949 IN IP4 0.0.0.0
    s=-
    t=0 0
    a=group:BUNDLE 0
    a=msid-semantic:WMS *
    m=application 47865 UDP/DTLS/SCTP webrtc-datachannel
    c=IN IP4 192.0.2.2
    a=mid:0
    a=sctp-port:5000
    a=max-message-size:262144
    a=candidate:f957a2332b1715da3b0ef8ba684454eb 1 udp 2130706431 192.0.2.2 47865 typ host
    a=candidate:d0bcf3d9c29a2bc887618212a1623bfa 1 udp 2130706431 fd00::2 38930 typ host
    a=end-of-candidates
    a=ice-ufrag:B7lR
    a=ice-pwd:VSgZUpj8S815pWuY0MN7Gz
    a=fingerprint:sha-256 \(fingerprint)
    a=fingerprint:sha-384 AF:D2:78:E0:2B:B4:4E:39:C8:6F:47:F1:44:29:4E:80:DC:FA:29:1E:BA:9B:5F:54:4D:22:AF:1E:73:0D:B4:49:96:27:19:3F:9D:E5:22:4A:1C:F9:16:B6:54:D2:F8:5E
    a=fingerprint:sha-512 BC:6A:BC:14:83:40:E0:BE:02:B9:1D:A5:7D:DE:A7:5A:0C:AA:8B:25:CE:CC:A9:1E:8F:58:FB:E2:EE:A3:85:4B:1C:14:8D:1F:17:1F:5C:83:82:87:0E:A5:CF:10:58:FE:6B:E8:64:24:2C:E5:31:37:6D:32:9F:E8:CA:57:86:D9
    a=setup:actpass
    """)

  /// A browser that offers sound and a data channel; the certificate is at session level, as Firefox has it.
  static let twoSections = crlf(
    """
    v=0
    o=mozilla...THIS_IS_SDPARTA-99.0 8338333222359012689 0 IN IP4 0.0.0.0
    s=-
    t=0 0
    a=sendrecv
    a=fingerprint:sha-256 \(fingerprint)
    a=group:BUNDLE 0 1
    a=ice-options:trickle
    a=msid-semantic:WMS *
    m=audio 9 UDP/TLS/RTP/SAVPF 109 0
    c=IN IP4 0.0.0.0
    a=sendrecv
    a=ice-pwd:b0db4b5bcd15b48ed24a4a2b7a3ad1da
    a=ice-ufrag:9c1ba8a3
    a=mid:0
    a=rtcp-mux
    a=rtpmap:109 opus/48000/2
    a=setup:actpass
    m=application 9 UDP/DTLS/SCTP webrtc-datachannel
    c=IN IP4 0.0.0.0
    a=sendrecv
    a=ice-pwd:b0db4b5bcd15b48ed24a4a2b7a3ad1da
    a=ice-ufrag:9c1ba8a3
    a=mid:1
    a=setup:actpass
    a=sctp-port:5000
    a=max-message-size:1073741823
    """)

  /// RFC 8866 §5, the example, with every kind of line it has.
  static let rfc8866 = crlf(
    """
    v=0
    o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1
    s=Call to John Smith
    i=SDP Offer #1
    u=http://www.jdoe.example.com/home.html
    e=Jane Doe <jane@jdoe.example.com>
    p=+1 617 555-6011
    c=IN IP4 198.51.100.1
    t=0 0
    m=audio 49170 RTP/AVP 0
    m=audio 49180 RTP/AVP 0
    m=video 51372 RTP/AVP 99
    c=IN IP6 2001:db8::2
    a=rtpmap:99 h263-1998/90000
    """)

  /// RFC 8840 §4.4.
  static let fragment = crlf(
    """
    a=ice-pwd:asd88fgpdd777uzjYhagZg
    a=ice-ufrag:8hhY
    m=audio 9 RTP/AVP 0
    a=mid:1
    a=candidate:1 1 UDP 2130706432 2001:db8:a0b:12f0::1 5000 typ host
    a=candidate:1 2 UDP 2130706432 2001:db8:a0b:12f0::1 5001 typ host
    a=candidate:2 1 UDP 1694498815 192.0.2.3 5010 typ srflx raddr 192.0.2.1 rport 8998
    a=end-of-candidates
    m=audio 9 RTP/AVP 0
    a=mid:2
    a=candidate:1 1 UDP 2130706431 192.0.2.1 6010 typ host
    """)

  struct Named: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var text: String
  }

  static let descriptions = [
    Named(testDescription: "Chromium offer", text: chromiumOffer),
    Named(testDescription: "Chromium answer", text: chromiumAnswer),
    Named(testDescription: "aiortc offer", text: aiortcOffer),
    Named(testDescription: "two sections", text: twoSections),
    Named(testDescription: "RFC 8866", text: rfc8866),
  ]

  private static func crlf(_ text: String) -> String {
    text.split(separator: "\n").map { $0 + "\r\n" }.joined()
  }
}
