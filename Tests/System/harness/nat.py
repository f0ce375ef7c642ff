"""Named nftables rule sets: what kinds of home router there are.

EIM/ADM/APDM: the mapping depends on the inside endpoint only, also on the destination's address, also
on its port. EIF/ADF/APDF: the same three for what is let in. `W` is the router's public address.
"""

FORWARD = """
table ip f {
  chain forw { type filter hook forward priority 0
    iifname wan ct state established,related accept
    iifname wan drop
  }
}
"""

IN_DROP = """
table ip i {
  chain in { type filter hook input priority 0
    iifname wan ct state new drop
  }
}
"""


def source(statement):
    return "table ip n {\n  chain post { type nat hook postrouting priority srcnat\n    %s\n  }\n}\n" % statement


def jhash(key):
    return source(f"oifname wan meta l4proto udp snat ip to W : jhash {key} mod 20000 seed 0x1234 offset 40000\n"
                  "    oifname wan masquerade")


CONE = """
table ip n {
  map cone { type inet_service : ipv4_addr . inet_service
    flags dynamic,timeout
    timeout 5m
  }
  %s
  chain post { type nat hook postrouting priority srcnat
    oifname wan meta l4proto udp update @cone { udp sport : ip saddr . udp sport }
    oifname wan masquerade
  }
  chain pre { type nat hook prerouting priority dstnat
    iifname wan ip daddr W meta l4proto udp %s dnat to udp dport map @cone
  }
}
"""

SEEN = """set seen { type ipv4_addr . inet_service
    flags dynamic,timeout
    timeout 5m
  }
  chain note { type filter hook postrouting priority 50
    oifname wan meta l4proto udp update @seen { ip daddr . udp sport }
  }"""

UDP_BLOCK = """
table ip b {
  chain forw { type filter hook forward priority -5
    meta l4proto udp drop
    tcp dport != { 80, 443 } ct direction original drop
  }
}
"""

# Two networks of one router that must not see each other.
APART = """
table ip apart {
  chain forw { type filter hook forward priority -5
    iifname lan oifname lan2 drop
    iifname lan2 oifname lan drop
  }
}
"""

# What miniupnpd fills: the ports it was asked to let in.
PORT_MAPPING = """
table inet filter {
  chain miniupnpd {
  }
  chain pre { type nat hook prerouting priority dstnat
    jump prerouting_miniupnpd
  }
  chain prerouting_miniupnpd {
  }
  chain postrouting_miniupnpd {
  }
}
"""

HAIRPIN = "    ip saddr { 192.168.0.0/16, 100.64.0.0/10 } oifname lan ct status dnat snat ip to W\n"

RULES = {
    # EIM / APDF, port preserved: the classic home router.
    "masq": source("oifname wan masquerade") + FORWARD + IN_DROP,
    "masq_reject": source("oifname wan masquerade") + FORWARD + IN_DROP.replace("new drop", "new reject"),
    # As masq, until an unsolicited packet hits the mapped port; then APDM towards that peer.
    "masq_noindrop": source("oifname wan masquerade") + FORWARD,
    "masq_persistent": source("oifname wan masquerade persistent") + FORWARD + IN_DROP,
    # APDM / APDF: "symmetric".
    "masq_random": source("oifname wan masquerade random") + FORWARD + IN_DROP,
    "masq_fullyrandom": source("oifname wan masquerade fully-random") + FORWARD + IN_DROP,
    # EIM / APDF, port not preserved.
    "snat_range": source("oifname wan meta l4proto udp snat ip to W:50000-60000\n    oifname wan masquerade")
    + FORWARD + IN_DROP,
    "jhash_eim": jhash("ip saddr . udp sport") + FORWARD + IN_DROP,
    # ADM / APDF.
    "jhash_adm": jhash("ip saddr . udp sport . ip daddr") + FORWARD + IN_DROP,
    # APDM / APDF, the same every time.
    "jhash_apdm": jhash("ip saddr . udp sport . ip daddr . udp dport") + FORWARD + IN_DROP,
    # EIM / EIF.
    "fullcone": CONE % ("", ""),
    # EIM / EIF, and machines behind it reach each other by their outside addresses (RFC 4787 REQ-9).
    "fullcone_hair": (CONE % ("", "")).replace("    iifname wan ip daddr W", "    ip daddr W").replace(
        "    oifname wan masquerade\n", "    oifname wan masquerade\n" + HAIRPIN),
    # EIM / ADF.
    "restricted": CONE % (SEEN, "ip saddr . udp dport @seen"),
    # TCP as ever, and no UDP.
    "noudp": source("oifname wan masquerade") + FORWARD + IN_DROP + UDP_BLOCK.replace(
        "    tcp dport != { 80, 443 } ct direction original drop\n", ""),
    # Only TCP to ports 80 and 443 gets out.
    "udpblock": source("oifname wan masquerade") + FORWARD + IN_DROP + UDP_BLOCK,
}


def rules(name, public):
    return RULES[name].replace("W", public)


def port_mapping(name, public):
    """The same router, with miniupnpd's chains."""
    text = rules(name, public) + PORT_MAPPING
    return text.replace("iifname wan drop", "iifname wan ct status dnat accept\n    iifname wan drop")
