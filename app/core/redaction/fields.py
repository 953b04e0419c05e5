"""Which fields are written at all, and as what: an allow-list for objects and for flows.

A field that is not here is not written. A text under a field that is here is written as its
treatment says, and never as it was, unless it is one of the fixed words of Kubernetes' or Hubble's
own vocabulary.
"""

from __future__ import annotations

from enum import Enum, auto

from app.core.flows import names as hubble
from app.core.policy import ports


class Treatment(Enum):
    """What becomes of the texts under a field."""

    INSIDE = auto()
    """Only what is inside it counts; a text of its own becomes a name."""
    NAME = auto()
    WORD = auto()
    """One of the fixed vocabulary, else a name."""
    LABELS = auto()
    """A map of labels, a list of printed labels, or a label selector."""
    KEY = auto()
    DNS = auto()
    ADDRESS = auto()
    """An address or a block, else a name."""
    PORT = auto()
    PATH = auto()
    HOST = auto()
    TIME = auto()
    UUID = auto()
    URL = auto()
    NODE = auto()
    """Hubble's `CLUSTER/NODE`."""
    IMAGE = auto()
    """Only the agent's, for its version."""
    ARGUMENTS = auto()
    """Only the addresses that node-local-dns is told to take."""
    SETTINGS = auto()
    HEADER = auto()


def _of(treatment: Treatment, fields: str) -> dict[str, Treatment]:
    return dict.fromkeys(fields.split(), treatment)


FIELDS: dict[str, Treatment] = {
    **_of(
        Treatment.INSIDE,
        """metadata spec specs status template jobTemplate ownerReferences containers
        initContainers conditions endpoints subsets targetRef loadBalancer networking addressing
        identity encryption health ingress egress ingressDeny egressDeny ipam pools allocated
        addresses ports podIPs from to toPorts rules http dns kafka l7 icmps fields
        enableDefaultDeny authentication podSelector ipBlock toCIDRSet fromCIDRSet toServices
        k8sService k8sServiceSelector toGroups fromGroups aws headerMatches terminatingTLS
        originatingTLS secret listener envoyConfig listeners allowedRoutes namespaces
        parentRefs backendRefs matches path filters tls defaultBackend backend service
        paths resources fromRequires toRequires toFQDNs queryParams redirectFrontend
        redirectBackend addressMatcher serviceMatcher dnsConfig policy named-ports toNodes fromNodes
        flow IP l4 TCP UDP SCTP ICMPv4 ICMPv6 flags source_service destination_service
        event_type lost_events node_status workloads egress_allowed_by ingress_allowed_by
        egress_denied_by ingress_denied_by external-ips""",
    ),
    **_of(
        Treatment.NAME,
        """name namespace nodeName serviceAccountName serviceName service-account cidrGroupRef
        gatewayClassName ingressClassName sectionName securityGroupsIds securityGroupsNames region
        pod_name cluster_name""",
    ),
    **_of(
        Treatment.WORD,
        """kind apiVersion group type phase state protocol operator policyTypes family mode
        fromEntities toEntities addressType internalTrafficPolicy externalTrafficPolicy dnsPolicy
        restartPolicy controllerName pathType l7proto method mismatch verdict drop_reason_desc
        Type traffic_direction trace_observation_point auth_type sock_xlate_point ipVersion
        state_change trace_reason observation_source qtypes rrtypes""",
    ),
    **_of(
        Treatment.LABELS,
        """labels matchLabels matchExpressions security-labels selector endpointSelector
        nodeSelector podSelector namespaceSelector fromEndpoints toEndpoints
        cidrGroupSelector localEndpointSelector node_labels""",
    ),
    **_of(
        Treatment.DNS,
        """externalName hostname hostnames hosts matchName matchPattern serverNames names query
        cnames source_names destination_names""",
    ),
    **_of(
        Treatment.ADDRESS,
        """podIP hostIP ip ipv4 ipv6 clusterIP clusterIPs externalIPs loadBalancerIP
        loadBalancerSourceRanges address cidr cidrs except fromCIDR toCIDR externalCIDRs
        podCIDR podCIDRs podIPs node nameservers ips source destination source_xlated
        addresses""",
    ),
    **_of(Treatment.PORT, "port targetPort endPort containerPort hostPort nodePort number"),
    **_of(Treatment.PATH, "path"),
    **_of(Treatment.HOST, "host"),
    **_of(Treatment.TIME, "time first last creationTimestamp deletionTimestamp"),
    **_of(Treatment.URL, "url"),
    **_of(Treatment.UUID, "uuid"),
    **_of(Treatment.NODE, "node_name node_names"),
    **_of(Treatment.IMAGE, "image"),
    **_of(Treatment.ARGUMENTS, "args command"),
    **_of(Treatment.SETTINGS, "data"),
    **_of(Treatment.HEADER, "headers key value topic role clientID apiKey"),
    # numbers and flags: a text among them becomes a name
    **_of(
        Treatment.WORD,
        """id ID controller hostNetwork replicas ready serving terminating enforcing enabled
        publishNotReadyAddresses weight code reply is_reply sub_type drop_reason
        source_port destination_port num_events_lost cpu policy_match_type event rcode ttl
        latency_ns SYN ACK FIN RST PSH URG ECE CWR NS encrypted skipRedirectFromBackend
        proxy_port revision""",
    ),
}

WORDS = (
    frozenset(
        """ADD ANY All Same Selector
    AdminNetworkPolicy Always Available BaselineAdminNetworkPolicy Bound CNI
    CiliumCIDRGroup CiliumClusterwideNetworkPolicy CiliumEndpoint CiliumEndpointSlice
    CiliumIdentity CiliumInternalIP CiliumLocalRedirectPolicy CiliumNetworkPolicy CiliumNode
    Cluster ClusterFirst ClusterFirstWithHostNet ClusterIP ClusterNetworkPolicy ConfigMap
    CronJob DELETE DELETE_ON_MISMATCH DaemonSet Default Deployment DoesNotExist Egress EndpointSlice
    Endpoints Exact ExternalIP ExternalName Exists FQDN Failed False GET GRPC GRPCRoute Gateway
    GatewayClass HEAD HTTP HTTP/1.0 HTTP/1.1 HTTP/2 HTTPRoute HTTPS Hostname IPAddress IPv4 IPv6
    ImplementationSpecific In Ingress InternalDNS ExternalDNS InternalIP Job LOG ListenerSet List
    LoadBalancer Local Namespace NetworkPolicy Node NodePort None NotIn OPTIONS OnFailure PATCH POST
    PUT PathPrefix Pending Pod Prefix REPLACE_ON_MISMATCH REQUEST RESPONSE Ready RegularExpression
    ReferenceGrant ReplicaSet Running SAMPLE SCTP Service StatefulSet Succeeded TCP TCPRoute TLS
    TLSRoute True UDP UDPRoute Unknown A AAAA CNAME MX NS PTR SOA SRV TXT proxy agent
    admissionregistration.k8s.io apps apps/v1 batch batch/v1 cilium.io cilium.io/v2
    cilium.io/v2alpha1 discovery.k8s.io discovery.k8s.io/v1 gateway.networking.k8s.io
    gateway.networking.k8s.io/v1 gateway.networking.k8s.io/v1alpha2
    gateway.networking.k8s.io/v1alpha3 gateway.networking.k8s.io/v1beta1 networking.k8s.io
    networking.k8s.io/v1 policy.networking.k8s.io policy.networking.k8s.io/v1alpha1 v1 required
    disabled test-always-fail io.cilium/gateway-controller dns http kafka ready restoring
    waiting-for-identity not-ready disconnecting disconnected invalid regenerating creating all
    cluster health host ingress init kube-apiserver none remote-node unmanaged world world-ipv4
    world-ipv6 egress both Unspecified TypeUnspecified icmp icmpv6 ICMP ICMPv6 ICMPV6 VRRP
    IGMP L3_L4 L7 SOCK
    """.split()  # noqa: SIM905  # a vocabulary reads best as one
    )
    | frozenset(
        word
        for table in (
            hubble.VERDICTS,
            hubble.DIRECTIONS,
            hubble.KINDS,
            hubble.IP_VERSIONS,
            hubble.AUTH_TYPES,
            hubble.DROP_REASON_NAMES,
            hubble.TRACE_POINTS,
            hubble.TRACE_REASONS,
            hubble.SOCKET_TRANSLATIONS,
            hubble.LOST_SOURCES,
            hubble.NODE_STATES,
            ports.ICMP_TYPES,
            ports.ICMPV6_TYPES,
        )
        for word in (table.values() if isinstance(table, dict) else table)
        if isinstance(word, str)
    )
    | frozenset(word for table in (ports.ICMP_TYPES, ports.ICMPV6_TYPES) for word in table)
)

SETTINGS = frozenset(
    """allow-localhost bpf-lb-sock bpf-lb-sock-hostns-only default-local-cluster direct-routing
    egress-masquerade-interfaces enable-audit-mode enable-bpf-masquerade enable-cilium-clusterwide
    enable-endpoint-routes enable-envoy-config enable-extended-ip-protocols enable-gateway-api
    enable-host-firewall enable-icmp-rules enable-ingress-controller enable-ipv4
    enable-ipv4-masquerade enable-ipv6 enable-ipv6-masquerade enable-k8s-networkpolicy
    enable-l7-proxy enable-local-redirect-policy enable-node-selector-labels
    enable-non-default-deny-policies enable-policy exclude-local-address ipam
    kube-proxy-replacement policy-audit-mode policy-cidr-match-mode policy-default-local-cluster
    routing-mode tunnel tunnel-protocol""".split()  # noqa: SIM905
)
"""Keys of `cilium-config` whose values are flags, fixed words or addresses."""
SETTING_WORDS = frozenset(
    """true false default always never nodes pods policy auto native tunnel vxlan geneve disabled
    partial strict probe kubernetes cluster-pool crd multi-pool eni azure delegated-plugin 0 1 t f
    """.split()  # noqa: SIM905
)
