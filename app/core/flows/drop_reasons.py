"""Hubble's drop reasons: what each means, whether policy decided it, and where to go from it.

Numbers and names: Cilium `api/v1/flow/flow.proto` (`DropReason`); the texts that `hubble observe`
prints: `pkg/monitor/api/drop.go`. Two names are historic and mislead (136, 161): show the
meaning instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Decider(StrEnum):
    """Who dropped the packet."""

    POLICY = "policy"
    PROXY = "proxy"
    RELATED = "related to policy"
    OTHER = "not policy"


@dataclass(frozen=True, slots=True)
class DropReason:
    """One reason. `name` is the enum's, `text` what `hubble` prints; either may be empty."""

    number: int
    name: str
    text: str
    decider: Decider
    meaning: str
    next_step: str


_P, _X, _R, _N = Decider
_HISTORIC = "does not occur on Cilium 1.19: look for an agent of another version"

# One reason in three lines; the formatter would make it nine.
# fmt: off
DROP_REASONS = (
    DropReason(0, "DROP_REASON_UNKNOWN", "", _X,
        "no reason recorded; on a dropped flow it is a refusal by a layer 7 proxy",
        "read the layer 7 record and the HTTP or DNS rules"),
    DropReason(130, "INVALID_SOURCE_MAC", "Invalid source mac", _N,
        "historic: source MAC did not match the endpoint. Kept for numbering only",
        _HISTORIC),
    DropReason(131, "INVALID_DESTINATION_MAC", "Invalid destination mac", _N,
        "historic: destination MAC did not match the endpoint. Kept for numbering only",
        _HISTORIC),
    DropReason(132, "INVALID_SOURCE_IP", "Invalid source ip", _N,
        "the pod sent a packet whose source address is not the address Cilium assigned to it "
        "(anti-spoofing), or an IPv6 link-local packet from a pod",
        "check for nested networking (VPN, docker-in-docker, IP forwarding, bonding) in the pod;"
        " IPv6 link-local noise (router solicitations to ff02::2) is harmless"),
    DropReason(133, "POLICY_DENIED", "Policy denied", _P,
        "default deny: a policy selects the local end and no rule matched",
        "see which rule misses, and on what"),
    DropReason(134, "INVALID_PACKET_DROPPED", "Invalid packet", _N,
        "the packet could not be parsed or pulled into the expected shape (too short, malformed "
        "headers, unexpected layout)",
        "look for corrupted/odd traffic, offload or MTU faults on the NIC; capture with "
        "pwru/tcpdump on the node if it persists"),
    DropReason(135, "CT_TRUNCATED_OR_INVALID_HEADER", "CT: Truncated or invalid header", _N,
        "headers were truncated or inconsistent when connection tracking read them",
        "as 134; check MTU and tunnel overhead, and fragments"),
    DropReason(136, "CT_MISSING_TCP_ACK_FLAG", "Fragmentation needed", _N,
        "enum name is historic (missing TCP ACK flag); today it means 'fragmentation needed': a "
        "DSR load-balanced packet would exceed the MTU",
        "lower MTU or raise the underlay MTU; consider SNAT mode or DSR Geneve sizing"),
    DropReason(137, "CT_UNKNOWN_L4_PROTOCOL", "CT: Unknown L4 protocol", _N,
        "connection tracking does not handle this L4 protocol",
        "usually non TCP/UDP/SCTP/ICMP traffic; check if the workload needs that protocol and "
        "whether SCTP etc. is enabled"),
    DropReason(138, "CT_CANNOT_CREATE_ENTRY_FROM_PACKET", "CT: Can't create entry from packet", _N,
        "historic: conntrack entry could not be created from the packet",
        _HISTORIC),
    DropReason(139, "UNSUPPORTED_L3_PROTOCOL", "Unsupported L3 protocol", _N,
        "Ethertype / L3 protocol not supported (for example non IP frames)",
        "mostly noise (LLDP, ARP variants, IPX); ignore unless a workload needs it. IPv6 packets"
        " on an IPv4-only cluster also land here"),
    DropReason(140, "MISSED_TAIL_CALL", "Missed tail call", _N,
        "a BPF program tried to jump to another BPF program that was not loaded (tail call "
        "missed)",
        "expected for a moment during agent upgrade/restart or endpoint regeneration. If it "
        "continues: restart the agent on that node, check agent logs for loader errors"),
    DropReason(141, "ERROR_WRITING_TO_PACKET", "Error writing to packet", _N,
        "BPF helper failed writing into the packet",
        "check kernel/NIC driver issues; collect sysdump"),
    DropReason(142, "UNKNOWN_L4_PROTOCOL", "Unknown L4 protocol", _N,
        "L4 protocol unknown to the code path (service, NAT, IPv6)",
        "check which protocol the workload uses; enable the feature (SCTP, VRRP, IGMP) or avoid "
        "it through services/NAT"),
    DropReason(143, "UNKNOWN_ICMPV4_CODE", "Unknown ICMPv4 code", _N,
        "ICMPv4 code not handled (NAT or 46/64 translation)",
        "usually ignorable ICMP noise"),
    DropReason(144, "UNKNOWN_ICMPV4_TYPE", "Unknown ICMPv4 type", _N,
        "ICMPv4 type not handled (46/64 translation)",
        "usually ignorable ICMP noise"),
    DropReason(145, "UNKNOWN_ICMPV6_CODE", "Unknown ICMPv6 code", _N,
        "ICMPv6 code not handled",
        "usually ignorable ICMP noise"),
    DropReason(146, "UNKNOWN_ICMPV6_TYPE", "Unknown ICMPv6 type", _N,
        "ICMPv6 type not handled",
        "usually ignorable ICMP noise"),
    DropReason(147, "ERROR_RETRIEVING_TUNNEL_KEY", "Error retrieving tunnel key", _N,
        "tunnel metadata (VNI/identity) of an encapsulated packet could not be read",
        "check that all nodes use the same tunnel protocol/port; look for foreign VXLAN/Geneve "
        "traffic on the port"),
    DropReason(148, "ERROR_RETRIEVING_TUNNEL_OPTIONS", "Error retrieving tunnel options", _N,
        "historic: tunnel options unreadable",
        _HISTORIC),
    DropReason(149, "INVALID_GENEVE_OPTION", "Invalid Geneve option", _N,
        "historic: invalid Geneve option",
        _HISTORIC),
    DropReason(150, "UNKNOWN_L3_TARGET_ADDRESS", "Unknown L3 target address", _N,
        "IPv6 neighbour solicitation for an address Cilium does not own",
        "check IPv6 addressing and routes of the pod/node"),
    DropReason(151, "STALE_OR_UNROUTABLE_IP", "Stale or unroutable IP", _N,
        "destination IP is inside a cluster range but no endpoint or node owns it (pod gone, "
        "stale DNS/service entry, wrong CIDR)",
        "verify the peer pod still exists; check Endpoints/EndpointSlice freshness and ipcache "
        "on the node"),
    DropReason(152, "NO_MATCHING_LOCAL_CONTAINER_FOUND", "No matching local container found", _N,
        "historic: no matching local container",
        _HISTORIC),
    DropReason(153, "ERROR_WHILE_CORRECTING_L3_CHECKSUM", "Error while correcting L3 checksum", _N,
        "L3 checksum fix-up failed",
        "check NIC offload/driver and kernel; collect sysdump"),
    DropReason(154, "ERROR_WHILE_CORRECTING_L4_CHECKSUM", "Error while correcting L4 checksum", _N,
        "L4 checksum fix-up failed",
        "check NIC offload/driver and kernel; collect sysdump"),
    DropReason(155, "CT_MAP_INSERTION_FAILED", "CT: Map insertion failed", _N,
        "conntrack table insert failed - nearly always a full CT map",
        "check cilium_bpf_map_pressure for CT maps; raise bpf.ctTcpMax/ctAnyMax or shorten "
        "conntrack GC interval; find the connection-churning workload"),
    DropReason(156, "INVALID_IPV6_EXTENSION_HEADER", "Invalid IPv6 extension header", _N,
        "IPv6 extension header chain invalid or too long",
        "identify the sender; often probing or exotic IPv6 features"),
    DropReason(157, "IP_FRAGMENTATION_NOT_SUPPORTED", "IP fragmentation not supported", _R,
        "a fragment without L4 ports met a policy/NAT that needs ports, and fragment tracking is"
        " not enabled",
        "enable fragment tracking (enable-ipv4/ipv6-fragment-tracking) or avoid fragmentation "
        "(MTU, DNS over TCP)"),
    DropReason(158, "SERVICE_BACKEND_NOT_FOUND", "Service backend not found", _N,
        "a service address was hit and it has no usable backend (0 ready endpoints, or traffic "
        "policy leaves none local)",
        "check Service/EndpointSlices readiness and internal/externalTrafficPolicy; not a "
        "network policy problem"),
    DropReason(159, "", "", _N,
        "not in the protobuf enum: protocol not supported for a service address. Hubble shows "
        "the bare number 159",
        "use a supported protocol/port on the service, or address the pod directly"),
    DropReason(160, "NO_TUNNEL_OR_ENCAPSULATION_ENDPOINT",
        "No tunnel/encapsulation endpoint (datapath BUG!)", _N,
        "no tunnel endpoint known for the destination node (flagged by Cilium as a likely bug)",
        "check node discovery (CiliumNode, clustermesh), agent logs; collect sysdump"),
    DropReason(161, "FAILED_TO_INSERT_INTO_PROXYMAP", "NAT 46/64 not enabled", _N,
        "enum name is historic (proxymap insert failed); today it means a packet needed "
        "IPv4/IPv6 translation and NAT46/64 is disabled",
        "check dual-stack service definitions; enable NAT46x64 only if intended"),
    DropReason(162, "REACHED_EDT_RATE_LIMITING_DROP_HORIZON",
        "Reached EDT rate-limiting drop horizon", _N,
        "bandwidth manager: packet's scheduled send time is past the drop horizon, i.e. the pod "
        "exceeded its egress bandwidth limit by far",
        "check the kubernetes.io/egress-bandwidth annotation; raise the limit or throttle the "
        "sender"),
    DropReason(163, "UNKNOWN_CONNECTION_TRACKING_STATE", "Unknown connection tracking state", _N,
        "conntrack returned a state the code path does not expect",
        "transient during upgrades; if steady, collect sysdump"),
    DropReason(164, "LOCAL_HOST_IS_UNREACHABLE", "Local host is unreachable", _N,
        "historic: local host unreachable. Not emitted by 1.19",
        _HISTORIC),
    DropReason(165, "NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION",
        "No configuration available to perform policy decision", _N,
        "historic: no policy configuration available. Not emitted by 1.19",
        "should not occur on 1.19 (see 203 for the modern equivalent)"),
    DropReason(166, "UNSUPPORTED_L2_PROTOCOL", "Unsupported L2 protocol", _N,
        "frame without the expected Ethernet layer, or an L2 type the path cannot handle",
        "check device type (L3 devices such as WireGuard/tun) and custom CNI chaining"),
    DropReason(167, "NO_MAPPING_FOR_NAT_MASQUERADE", "No mapping for NAT masquerade", _N,
        "masquerade/SNAT: no mapping found for a reply or all ports for that destination are in "
        "use (port exhaustion)",
        "check NAT map pressure and 'nat endpoints' usage per destination; spread load, raise "
        "map size, or use more egress IPs"),
    DropReason(168, "UNSUPPORTED_PROTOCOL_FOR_NAT_MASQUERADE",
        "Unsupported protocol for NAT masquerade", _N,
        "masquerade does not support this protocol",
        "use a supported protocol or exempt the destination from masquerading"),
    DropReason(169, "FIB_LOOKUP_FAILED", "FIB lookup failed", _N,
        "kernel route/neighbour (FIB) lookup failed for the next hop",
        "check routes and ARP/ND on the node, gateway reachability, blackhole routes; typical "
        "when the next hop's neighbour entry is missing"),
    DropReason(170, "ENCAPSULATION_TRAFFIC_IS_PROHIBITED",
        "Encapsulation traffic is prohibited", _R,
        "a pod (not the host) tried to send UDP to the cluster tunnel port; Cilium blocks pods "
        "from injecting encapsulated traffic",
        "change the application port, or the tunnel port; treat as suspicious in a TRE"),
    DropReason(171, "INVALID_IDENTITY", "Invalid identity", _N,
        "tunnelled packet carried an identity that is not allowed there (for example identity 0 "
        "or host identity from a remote node)",
        "check identity sync, clustermesh config, version skew between nodes"),
    DropReason(172, "UNKNOWN_SENDER", "Unknown sender", _N,
        "historic: sender unknown. Not emitted by 1.19",
        _HISTORIC),
    DropReason(173, "NAT_NOT_NEEDED", "NAT not needed", _N,
        "internal marker: NAT was not needed; not a real drop",
        "should not surface as a flow"),
    DropReason(174, "IS_A_CLUSTERIP", "Is a ClusterIP", _N,
        "traffic from outside arrived for a ClusterIP, which is not reachable externally by "
        "default",
        "use NodePort/LoadBalancer/Gateway, or set bpf.lbExternalClusterIP if intended"),
    DropReason(175, "FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND",
        "First logical datagram fragment not found", _N,
        "a later fragment arrived but its first fragment was never seen, so ports are unknown",
        "check packet loss / reordering / asymmetric routing / MTU; fragment map size"),
    DropReason(176, "FORBIDDEN_ICMPV6_MESSAGE", "Forbidden ICMPv6 message", _N,
        "host firewall: this ICMPv6 message type is not allowed",
        "only with host firewall; allow the ICMPv6 type in a host policy if needed"),
    DropReason(177, "DENIED_BY_LB_SRC_RANGE_CHECK", "Denied by LB src range check", _N,
        "client IP not inside the Service's loadBalancerSourceRanges",
        "add the client CIDR to spec.loadBalancerSourceRanges or confirm the block; it is a "
        "Service setting, not a NetworkPolicy"),
    DropReason(178, "SOCKET_LOOKUP_FAILED", "Socket lookup failed", _R,
        "L7 redirect: the proxy's listening socket was not found for the connection",
        "proxy (Envoy/DNS) not ready or restarted: check cilium-envoy pods and agent logs"),
    DropReason(179, "SOCKET_ASSIGN_FAILED", "Socket assign failed", _R,
        "L7 redirect: assigning the connection to the proxy socket failed",
        "as 178; check kernel support for TPROXY (socket assign)"),
    DropReason(180, "PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL",
        "Proxy redirection not supported for protocol", _R,
        "L7 redirect requested for a protocol other than TCP/UDP",
        "fix the policy: L7 rules only on TCP (HTTP) or TCP/UDP 53 (DNS) ports"),
    DropReason(181, "POLICY_DENY", "Policy denied by denylist", _P,
        "an explicit deny rule matched; no allow can override it",
        "narrow the deny rule that is named"),
    DropReason(182, "VLAN_FILTERED", "VLAN traffic disallowed by VLAN filter", _N,
        "VLAN-tagged frame on a device whose VLAN id is not in the bypass list",
        "add the VLAN id to vlan-bpf-bypass or remove tagging"),
    DropReason(183, "INVALID_VNI", "Incorrect VNI from VTEP", _N,
        "VTEP integration: packet came from a VTEP with the wrong VNI",
        "fix the VTEP/VNI configuration"),
    DropReason(184, "INVALID_TC_BUFFER", "Failed to update or lookup TC buffer", _N,
        "internal scratch map (per-packet buffer) could not be read or written",
        "map missing after a partial upgrade: restart the agent; collect sysdump"),
    DropReason(185, "NO_SID", "No SID was found for the IP address", _N,
        "SRv6: no SID for the destination. Not emitted by 1.19",
        "only relevant with SRv6"),
    DropReason(186, "MISSING_SRV6_STATE", "SRv6 state was removed during tail call", _N,
        "historic: SRv6 state lost between programs",
        _HISTORIC),
    DropReason(187, "NAT46", "L3 translation from IPv4 to IPv6 failed (NAT46)", _N,
        "IPv4-to-IPv6 translation failed",
        "check NAT46x64 gateway setup"),
    DropReason(188, "NAT64", "L3 translation from IPv6 to IPv4 failed (NAT64)", _N,
        "IPv6-to-IPv4 translation failed",
        "check NAT46x64 gateway setup"),
    DropReason(189, "AUTH_REQUIRED", "Authentication required", _P,
        "policy demands mutual authentication and the peers are not (yet) authenticated. The "
        "first packets of a new pair are normally dropped once while the handshake runs",
        "retry first; if it persists check SPIRE server/agents, auth map, and the policy's "
        "authentication.mode"),
    DropReason(190, "CT_NO_MAP_FOUND", "No conntrack map found", _N,
        "the conntrack map of that cluster id was not found (clustermesh with overlapping CIDR)",
        "check clustermesh config; agent restart"),
    DropReason(191, "SNAT_NO_MAP_FOUND", "No nat map found", _N,
        "the SNAT map of that cluster id was not found (clustermesh with overlapping CIDR)",
        "check clustermesh config; agent restart"),
    DropReason(192, "INVALID_CLUSTER_ID", "Invalid ClusterID", _N,
        "cluster id in the packet is invalid",
        "check clustermesh cluster ids are unique and in range"),
    DropReason(193, "UNSUPPORTED_PROTOCOL_FOR_DSR_ENCAP",
        "Unsupported packet protocol for DSR encapsulation", _N,
        "DSR encapsulation does not support this protocol",
        "use SNAT mode or a supported protocol for that service"),
    DropReason(194, "NO_EGRESS_GATEWAY", "No egress gateway found", _N,
        "an egress gateway policy matched but no gateway node is available",
        "check CiliumEgressGatewayPolicy nodeSelector and gateway node health"),
    DropReason(195, "UNENCRYPTED_TRAFFIC", "Traffic is unencrypted", _N,
        "strict encryption mode: traffic that should be encrypted was about to leave (or "
        "arrived) in clear text",
        "check WireGuard/IPsec peer state and the strict-mode CIDR; usually a node that has not "
        "finished key exchange"),
    DropReason(196, "TTL_EXCEEDED", "TTL exceeded", _N,
        "TTL / hop limit reached zero at this hop",
        "look for routing loops or traceroute traffic (the latter is normal)"),
    DropReason(197, "NO_NODE_ID", "No node ID found", _N,
        "no node id known for the remote node (needed for auth or IPsec)",
        "node just joined; check CiliumNode sync and agent logs"),
    DropReason(198, "DROP_RATE_LIMITED", "Rate limited", _N,
        "rate limiter refused the packet - in 1.19 used for ICMP error replies on service "
        "addresses without backend",
        "usually a side effect of clients hammering a service with no backends: fix the service"),
    DropReason(199, "IGMP_HANDLED", "IGMP handled", _N,
        "marker: IGMP message consumed by the multicast feature (not an error)",
        "ignore when multicast is enabled"),
    DropReason(200, "IGMP_SUBSCRIBED", "IGMP subscribed", _N,
        "marker: IGMP subscription handled (not an error)",
        "ignore when multicast is enabled"),
    DropReason(201, "MULTICAST_HANDLED", "Multicast handled", _N,
        "marker: multicast packet replicated by the datapath (not an error)",
        "ignore when multicast is enabled"),
    DropReason(202, "DROP_HOST_NOT_READY", "Host datapath not ready", _N,
        "the host program is not loaded yet on that node",
        "expected during node boot/agent start; wait, then check agent health"),
    DropReason(203, "DROP_EP_NOT_READY", "Endpoint policy program not available", _N,
        "the endpoint's policy program is not loaded (yet). Endpoint is being created, restored "
        "or regeneration failed",
        "wait a few seconds; if it stays, look at CiliumEndpoint status and agent logs for "
        "regeneration errors"),
    DropReason(204, "DROP_NO_EGRESS_IP", "No Egress IP configured", _N,
        "on the gateway node: policy matched but no egress IP is configured on the chosen "
        "interface",
        "fix egressGateway.egressIP/interface in the CiliumEgressGatewayPolicy"),
    DropReason(205, "DROP_PUNT_PROXY", "Punt to proxy", _N,
        "marker: packet is handed to a user-space proxy (not an error)",
        "ignore; should not surface as a drop"),
    DropReason(206, "", "No device", _N,
        "text 'No device' exists in 1.20/1.21 agents; the number was retired and never released "
        "in the datapath",
        "show the bare number if seen"),
    DropReason(207, "DROP_FRAG_NOT_FOUND_WORLD",
        "First logical datagram fragment not found from world", _N,
        "added on main for 1.21: as 175, but for fragments from outside the cluster when host "
        "policy cannot be evaluated",
        "usually ambient internet fragments; check MTU if legitimate"),
)
# fmt: on

_BY_NAME = {reason.name: reason for reason in DROP_REASONS if reason.name}
_BY_NUMBER = {str(reason.number): reason for reason in DROP_REASONS}


def drop_reason(name: str) -> DropReason | None:
    """Give the reason for Hubble's name, or for a number as text; None when it is not known."""
    return _BY_NAME.get(name) or _BY_NUMBER.get(name)
