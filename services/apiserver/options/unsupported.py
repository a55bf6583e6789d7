"""kube-apiserver v1.36.2's flags that have no effect here yet.

REFUSED_FLAGS change who gets in, what is kept or what is recorded: to ignore one would make
a server less safe than its operator believes. WARNED_FLAGS only tune or describe.
"""

REFUSED_FLAGS = frozenset(
    """
    admission-control admission-control-config-file
    egress-selector-config-file
    etcd-servers-overrides
    proxy-client-cert-file
    proxy-client-key-file
    runtime-config
    service-account-signing-endpoint tls-sni-cert-key
    tracing-config-file
    """.split()
)

WARNED_FLAGS = frozenset(
    """
    aggregator-reject-forwarding-redirect allow-metric-labels allow-metric-labels-manifest
    apiserver-count
    cloud-config cloud-provider contention-profiling
    coordinated-leadership-lease-duration coordinated-leadership-renew-deadline
    coordinated-leadership-retry-period cors-allowed-origins debug-socket-path
    default-not-ready-toleration-seconds default-unreachable-toleration-seconds
    delete-collection-workers disable-http2-serving disabled-metrics emulated-version
    emulation-forward-compatible enable-aggregator-routing enable-garbage-collector
    enable-logs-handler
    endpoint-reconciler-type
    etcd-count-metric-poll-period etcd-db-metric-poll-interval etcd-healthcheck-timeout
    etcd-readycheck-timeout external-hostname goaway-chance http2-max-streams-per-connection
    identity-lease-duration-seconds identity-lease-renew-interval-seconds
    kubelet-certificate-authority kubelet-client-certificate kubelet-client-key kubelet-port
    kubelet-preferred-address-types kubelet-read-only-port kubelet-timeout
    kubernetes-service-node-port lease-reuse-duration-seconds livez-grace-period
    log-flush-frequency log-json-info-buffer-size log-json-split-stream
    log-text-info-buffer-size log-text-split-stream logging-format
    max-connection-bytes-per-sec max-resource-write-bytes min-compatibility-version
    peer-advertise-ip peer-advertise-port peer-ca-file permit-address-sharing
    permit-port-sharing profiling runtime-config-emulation-forward-compatible
    show-hidden-metrics-for-version
    shutdown-send-retry-after shutdown-watch-termination-grace-period
    storage-initialization-timeout strict-transport-security-directives target-ram-mb
    tls-cipher-suites tls-curve-preferences tls-min-version vmodule
    watch-cache-initialization-post-start-hook
    """.split()
)
