"""Who asks: the authenticators put together from the flags, in kube-apiserver's order.

front proxy ─▶ X.509 ─▶ bearer tokens: static ─▶ service accounts ─▶ bootstrap ─▶ JWT ─▶ webhook
─▶ anonymous

Source: kube-apiserver v1.36.2, pkg/kubeapiserver/authenticator/config.go (New).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.apiserver.authentication.anonymous import Anonymous
from services.apiserver.authentication.authenticator import RequestAuthenticator, TokenAuthenticator
from services.apiserver.authentication.authorities import Authorities, AuthoritiesError, follow
from services.apiserver.authentication.bearer import AUTHORIZATION, BearerToken
from services.apiserver.authentication.bootstraptoken import BootstrapTokens
from services.apiserver.authentication.clientcertificate import ClientCertificates
from services.apiserver.authentication.configuration import (
    AuthenticationConfiguration,
    ConfigurationError,
)
from services.apiserver.authentication.oidc import (
    JwtAuthenticators,
    WatchedFile,
    from_flags,
    load,
)
from services.apiserver.authentication.requestheader import (
    STANDARD,
    HeaderFilter,
    RequestHeaders,
    UserHeaders,
)
from services.apiserver.authentication.tokencache import TokenCache
from services.apiserver.authentication.tokenfile import (
    StaticTokens,
    TokenFileError,
    read_token_file,
)
from services.apiserver.authentication.union import AudienceAgnostic, RequestUnion, TokenUnion
from services.apiserver.authentication.webhook import WebhookTokenAuthenticator
from services.apiserver.authentication.webhookcache import WebhookCache
from services.apiserver.authorization import MASTERS
from services.apiserver.options import ApiServerOptions, OptionsError
from services.apiserver.registry.strategy import Lookup
from services.apiserver.requestinfo import UserInfo
from services.apiserver.stages.authentication import AuthenticationStage
from shared import kubeconfig
from shared.kubeconfig import KubeconfigError

log = logging.getLogger("kubefan.apiserver.authentication")

ALWAYS_ALLOW = "AlwaysAllow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """What finds out who asks."""

    authenticate: AuthenticationStage
    tokens: TokenAuthenticator
    """All kinds of bearer tokens, for TokenReviews."""
    client_authorities: Authorities | None
    """--client-ca-file"""
    proxy_authorities: Authorities | None
    """--requestheader-client-ca-file"""
    jwt: JwtAuthenticators | None
    webhook: WebhookTokenAuthenticator | None

    @property
    def authorities(self) -> Sequence[Authorities]:
        """All whose certificates clients may show."""
        return [one for one in (self.client_authorities, self.proxy_authorities) if one]

    async def run(self, changed: Callable[[Authorities], None]) -> None:
        """Follow files and the keys of issuers until cancelled.

        `changed` is called with authorities after they were read anew.
        """
        async with asyncio.TaskGroup() as tasks:
            if self.authorities:
                tasks.create_task(follow(self.authorities, changed), name="authorities")
            if self.jwt is not None:
                tasks.create_task(self.jwt.run(), name="token issuers")
            if self.webhook is not None:
                tasks.create_task(self.webhook.run(), name="token webhook")


def authentication(
    options: ApiServerOptions,
    lookup: Lookup,
    service_accounts: TokenAuthenticator,
    *,
    admin_token: str,
) -> Authentication:
    """Return what finds the user of a request; `admin_token` gets in as a member of masters.

    Raises:
        OptionsError: a file can't be used.
    """
    given = options.authentication
    try:
        configuration = _configuration(options)
        client_authorities = _authorities(given.client_ca_file)
        proxy_authorities = _authorities(given.requestheader_client_ca_file)
        users = {admin_token: UserInfo("admin", groups=(MASTERS,))}
        if given.token_auth_file:
            users.update(read_token_file(Path(given.token_auth_file)))
        jwt, webhook = _jwt(options, configuration), _webhook(options)
    except (AuthoritiesError, ConfigurationError, KubeconfigError, TokenFileError) as error:
        raise OptionsError(str(error)) from error
    audiences = options.service_accounts.api_audiences
    verified: list[TokenAuthenticator] = []
    if given.enable_bootstrap_token_auth:
        verified.append(AudienceAgnostic(BootstrapTokens(lookup), audiences))
    if jwt is not None:
        verified.append(AudienceAgnostic(jwt, audiences))
    if webhook is not None:
        verified.append(WebhookCache(webhook, ttl_s=options.token_webhook.cache_ttl_s))
    # Service accounts' tokens have a cache of their own, which ends with what they are bound to.
    by_token: list[TokenAuthenticator] = [StaticTokens(users, audiences), service_accounts]
    if verified:
        by_token.append(TokenCache(TokenUnion(verified)))
    tokens = TokenUnion(by_token)

    requests: list[RequestAuthenticator] = []
    user_headers = UserHeaders.of(
        given.requestheader_username_headers,
        given.requestheader_uid_headers,
        given.requestheader_group_headers,
        given.requestheader_extra_headers_prefix,
    )
    if proxy_authorities is not None:
        names = given.requestheader_allowed_names
        requests.append(RequestHeaders(proxy_authorities, names, user_headers))
    if client_authorities is not None:
        requests.append(ClientCertificates(client_authorities))
    requests.append(BearerToken(tokens, audiences))
    return Authentication(
        authenticate=AuthenticationStage(
            requests[0] if len(requests) == 1 else RequestUnion(requests),
            _anonymous(options, configuration),
            HeaderFilter(AUTHORIZATION, [STANDARD, user_headers]),
        ),
        tokens=tokens,
        client_authorities=client_authorities,
        proxy_authorities=proxy_authorities,
        jwt=jwt,
        webhook=webhook,
    )


def _authorities(path: str) -> Authorities | None:
    return Authorities(Path(path)) if path else None


def _configuration(options: ApiServerOptions) -> AuthenticationConfiguration:
    given = options.authentication
    if not given.authentication_config:
        return AuthenticationConfiguration()
    configuration = load(
        Path(given.authentication_config), disallowed_issuers=options.service_accounts.issuers
    )
    if configuration.anonymous is not None and given.anonymous_auth_given:
        raise ConfigurationError(
            "--anonymous-auth flag cannot be set when anonymous field is configured in "
            "authentication configuration file"
        )
    return configuration


def _jwt(
    options: ApiServerOptions, configuration: AuthenticationConfiguration
) -> JwtAuthenticators | None:
    """Return what knows the tokens of issuers: those of the file, or of the --oidc-* flags.

    Raises:
        ConfigurationError: the flags break rules.
    """
    issuers = options.service_accounts.issuers
    if path := options.authentication.authentication_config:
        file = WatchedFile(Path(path), issuers, configuration.anonymous)
        return JwtAuthenticators(configuration.jwt, file=file)
    if not options.oidc.issuer_url:
        return None
    return JwtAuthenticators(
        [from_flags(options.oidc, disallowed_issuers=issuers)],
        algorithms=frozenset(options.oidc.signing_algorithms),
    )


def _webhook(options: ApiServerOptions) -> WebhookTokenAuthenticator | None:
    given = options.token_webhook
    if not given.config_file:
        return None
    try:
        return WebhookTokenAuthenticator(
            kubeconfig.load(Path(given.config_file)),
            version=given.version,
            api_audiences=options.service_accounts.api_audiences,
        )
    except KubeconfigError as error:
        raise KubeconfigError(f"--authentication-token-webhook-config-file: {error}") from error


def _anonymous(
    options: ApiServerOptions, configuration: AuthenticationConfiguration
) -> RequestAuthenticator | None:
    """Return what lets in those without credentials, None where nobody may come so."""
    said = configuration.anonymous
    if said is not None:
        return Anonymous([one.path for one in said.conditions]) if said.enabled else None
    if not options.authentication.anonymous_auth:
        return None
    if not options.authorization.config and ALWAYS_ALLOW in options.authorization.modes:
        # Anybody would be allowed anything.
        log.warning("no anonymous requests: --authorization-mode has AlwaysAllow")
        return None
    return Anonymous()
