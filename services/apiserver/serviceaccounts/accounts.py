"""The parts of service accounts' tokens, put together from the flags."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from services.apiserver.options.service_accounts import ServiceAccountOptions
from services.apiserver.registry.served import Registry
from services.apiserver.serviceaccounts.authenticator import ServiceAccountTokens
from services.apiserver.serviceaccounts.boundobjects import BoundObjects
from services.apiserver.serviceaccounts.discovery import IssuerDocuments, can_be_discovered
from services.apiserver.serviceaccounts.keys import token_keys
from services.apiserver.serviceaccounts.tokenrequest import TokenPolicy
from shared.signingkeys import SigningKey

log = logging.getLogger("kubefan.apiserver")


@dataclass(frozen=True, slots=True)
class ServiceAccounts:
    signing_key: SigningKey
    policy: TokenPolicy
    tokens: ServiceAccountTokens
    documents: IssuerDocuments | None
    """None: the issuer is none that others could discover."""


def service_accounts(
    options: ServiceAccountOptions, registry: Registry, certificates_dir: Path, address: str
) -> ServiceAccounts:
    """Return the parts; `address` is HOST:PORT of this server as others reach it.

    Raises:
        KeyFileError: a key file can't be used.
        OSError: the server's own key can't be written.
    """
    keys = token_keys(options.signing_key_file, options.key_files, certificates_dir)
    issuer = options.issuers[0]
    documents = None
    if can_be_discovered(issuer):
        documents = IssuerDocuments(
            issuer, keys.verification, jwks_uri=options.jwks_uri, address=address
        )
    else:
        log.warning("no discovery of the service account issuer: it is not an https URL")
    return ServiceAccounts(
        keys.signing,
        TokenPolicy(
            issuer=issuer,
            api_audiences=options.api_audiences,
            max_lifetime_s=options.max_token_expiration_s,
            extend=options.extend_token_expiration,
        ),
        ServiceAccountTokens(
            issuers=options.issuers,
            keys=keys.verification,
            api_audiences=options.api_audiences,
            objects=BoundObjects(registry),
            lookup=options.lookup,
        ),
        documents,
    )
