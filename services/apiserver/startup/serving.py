"""Where this server is reached: its addresses, its certificate, the administrator's kubeconfig."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from services.apiserver.controlplane import bootstrap
from services.apiserver.options import ApiServerOptions
from services.apiserver.startup.certificates import ServingFiles, admin_token, serving_files
from shared import kubeconfig


class Serving:
    """One server that listens on `port`."""

    def __init__(self, options: ApiServerOptions, port: int) -> None:
        self._options = options
        self.port = port
        self.advertised = advertised_address(options)
        """The address that members of the cluster use."""
        self.cluster = bootstrap.ClusterAddresses(
            options.service_cluster_ip_range, self.advertised, options.advertise_port or port
        )

    def __repr__(self) -> str:
        return f"<Serving {self.own_address}, advertised as {self.address}>"

    @property
    def address(self) -> str:
        """HOST:PORT as members of the cluster know it: a load balancer's, maybe."""
        return f"{self.advertised}:{self._options.advertise_port or self.port}"

    @property
    def own_address(self) -> str:
        """HOST:PORT of this process alone."""
        return f"{self.advertised}:{self.port}"

    def files(self) -> ServingFiles:
        """Return the certificate and key to serve with; made where none are given."""
        options = self._options
        if options.tls_cert_file:
            certificate = Path(options.tls_cert_file)
            return ServingFiles(certificate, Path(options.tls_private_key_file), certificate)
        addresses = ["127.0.0.1", self.advertised]
        if options.bind_address not in ("0.0.0.0", "::"):
            addresses.append(options.bind_address)
        addresses.append(self.cluster.service_ip)
        return serving_files(options.certificates_dir, list(dict.fromkeys(addresses)))

    def admin_token(self, files: ServingFiles) -> str:
        """Return the token of the kubeconfig that is written for the administrator."""
        options = self._options
        token = admin_token(options.certificates_dir / "admin.token")
        host = options.bind_address
        if host in ("0.0.0.0", "::"):
            host = "127.0.0.1"
        kubeconfig.write(
            options.data_dir / "admin.kubeconfig",
            server=f"https://{f'[{host}]' if ':' in host else host}:{self.port}",
            authority=files.authority,
            token=token,
        )
        return token


def advertised_address(options: ApiServerOptions) -> str:
    """Return --advertise-address, or what it is without."""
    if options.advertise_address:
        return options.advertise_address
    bound = ipaddress.ip_address(options.bind_address)
    if bound.is_unspecified or bound.is_loopback:
        # As kube-apiserver: members of the cluster can't use either.
        return bootstrap.host_address()
    return options.bind_address
