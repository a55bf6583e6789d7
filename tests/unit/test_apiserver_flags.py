"""The apiserver's command line: kube-apiserver's names and meanings, every mistake told."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

import pytest

from services.apiserver.options import ApiServerOptions, OptionsError


def mistakes(*argv: str) -> list[str]:
    with pytest.raises(OptionsError) as caught:
        ApiServerOptions.from_argv(argv)
    return str(caught.value).splitlines()


def test_no_flag_is_needed() -> None:
    options = ApiServerOptions.from_argv([])
    assert (options.bind_address, options.secure_port) == ("127.0.0.1", 6443)
    assert options.etcd_servers == ()
    assert options.warnings == ()
    assert options.certificates_dir == Path(".kubefan/certs")


@pytest.mark.parametrize(
    ("word", "path", "value"),
    [
        ("--secure-port=7443", "secure_port", 7443),
        ("--secure_port=7443", "secure_port", 7443),
        ("--bind-address=::", "bind_address", "::"),
        ("--etcd-servers=http://a:1,https://b:2", "etcd_servers", ("http://a:1", "https://b:2")),
        ("--etcd-prefix=kubernetes/", "etcd_prefix", "/kubernetes"),
        ("--etcd-compaction-interval=0", "etcd_compaction_interval_s", 0.0),
        ("--request-timeout=1m30s", "request_timeout_s", 90.0),
        ("--request-timeout=1.5h", "request_timeout_s", 5400.0),
        ("--shutdown-delay-duration=250ms", "shutdown_delay_s", 0.25),
        ("--event-ttl=2h", "event_ttl_s", 7200),
        ("--anonymous-auth", "authentication.anonymous_auth", True),
        ("--anonymous-auth=false", "authentication.anonymous_auth", False),
        ("--anonymous_auth=F", "authentication.anonymous_auth", False),
        ("--max-requests-inflight=0", "flow_control.max_requests_inflight", 0),
        ("--service-node-port-range=1-65535", "service_node_port_range", (1, 65535)),
        ("--watch-cache-sizes=pods#5,a.b#6", "watch_cache_sizes", (("pods", 5), ("a.b", 6))),
        ("--feature-gates=A=true,B=False", "feature_gates", (("A", True), ("B", False))),
        (
            "--disable-admission-plugins=ServiceAccount",
            "disabled_admission_plugins",
            ("ServiceAccount",),
        ),
        ("-v=2", "verbosity", 2),
        ("--v=6", "verbosity", 6),
    ],
)
def test_a_flag_sets_its_field(word: str, path: str, value: object) -> None:
    options = ApiServerOptions.from_argv([word])
    assert attrgetter(path)(options) == value


def test_admission_plugins_are_named_by_commas() -> None:
    options = ApiServerOptions.from_argv(["--disable-admission-plugins=ServiceAccount,Priority"])
    assert options.disabled_admission_plugins == ("ServiceAccount", "Priority")


def test_a_value_may_be_the_next_word() -> None:
    options = ApiServerOptions.from_argv(["--secure-port", "7443", "-v", "3", "--data-dir", "x"])
    assert (options.secure_port, options.verbosity) == (7443, 3)
    assert options.data_dir == Path("x")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("--secure-port=65536", "--secure-port: '65536' is not a number from 0 to 65535"),
        ("--secure-port=x", "--secure-port: 'x' is not a number from 0 to 65535"),
        ("--secure-port=", "--secure-port: '' is not a number from 0 to 65535"),
        ("--secure-port=٣", "--secure-port: '٣' is not a number from 0 to 65535"),
        ("--bind-address=localhost", "--bind-address: 'localhost' is not an IP address"),
        ("--advertise-address=1.2.3", "--advertise-address: '1.2.3' is not an IP address"),
        ("--anonymous-auth=maybe", "--anonymous-auth: 'maybe' is not true or false"),
        ("--request-timeout=5", "--request-timeout: '5' is not a duration like 1m30s"),
        ("--request-timeout=1m 5s", "--request-timeout: '1m 5s' is not a duration like 1m30s"),
        ("--request-timeout=-1s", "--request-timeout: '-1s' is not a duration like 1m30s"),
        ("--service-node-port-range=9", "--service-node-port-range: "),
        ("--service-node-port-range=5-1", "--service-node-port-range: "),
        ("--service-node-port-range=0-5", "--service-node-port-range: "),
        ("--service-cluster-ip-range=10.0.0.1/24", "--service-cluster-ip-range: "),
        ("--service-cluster-ip-range=10.0.0.0/31", "--service-cluster-ip-range: "),
        ("--watch-cache-sizes=pods", "--watch-cache-sizes: 'pods' is not like pods#1000"),
        ("--feature-gates=A", "--feature-gates: 'A' is not like Name=true"),
        ("--feature-gates=A=maybe", "--feature-gates: 'A=maybe' is not like Name=true"),
        ("--etcd-servers=127.0.0.1:2379", "--etcd-servers: "),
        ("--etcd-servers=http://a:1,ftp://b", "--etcd-servers: 'ftp://b' "),
        ("--etcd-certfile=/dev/null", "--etcd-certfile and --etcd-keyfile go together"),
        ("--tls-cert-file=x", "--tls-cert-file and --tls-private-key-file go together"),
        ("--token-auth-file=/nowhere/tokens", "--token-auth-file: no such file: "),
        ("--storage-backend=consul", "--storage-backend: 'consul' is not etcd3 or sqlite"),
        ("--storage-backend=etcd3", "--storage-backend=etcd3 needs --etcd-servers"),
        ("--enable-admission-plugins=Nothing", "--enable-admission-plugins: "),
        ("--disable-admission-plugins=Nothing", "--disable-admission-plugins: "),
        ("--v=11", "--v: '11' is not a number from 0 to 10"),
        ("--no-such-flag=1", "unknown flag: --no-such-flag"),
        ("--secure-por=1", "unknown flag: --secure-por"),
        ("stray", "unexpected argument 'stray'"),
    ],
)
def test_a_mistake_is_told_by_its_flag(word: str, told: str) -> None:
    assert mistakes(word)[0].startswith(told)


def test_all_mistakes_are_told_at_once() -> None:
    told = mistakes("--secure-port=x", "--bind-address=y", "--no-such-flag", "--request-timeout=z")
    assert len(told) == 4
    for flag in ("--secure-port", "--bind-address", "--no-such-flag", "--request-timeout"):
        assert any(flag in line for line in told)


def test_a_flag_that_needs_a_value_and_has_none_is_a_mistake() -> None:
    assert "--secure-port" in mistakes("--secure-port")[0]


def test_the_embedded_store_and_etcd_exclude_each_other() -> None:
    told = mistakes("--storage-backend=sqlite", "--etcd-servers=http://a:1")
    assert told == ["--storage-backend=sqlite and --etcd-servers exclude each other"]


@pytest.mark.parametrize(
    "flag", ["etcd-servers-overrides", "admission-control-config-file", "tracing-config-file"]
)
@pytest.mark.parametrize("separate", [True, False])
def test_what_would_make_the_server_less_safe_if_ignored_is_refused(
    flag: str, separate: bool
) -> None:
    words = [f"--{flag}", "x"] if separate else [f"--{flag}=x"]
    assert mistakes(*words) == [f"--{flag} is not supported yet"]


def test_what_only_tunes_is_accepted_with_a_warning() -> None:
    options = ApiServerOptions.from_argv(["--goaway-chance=0.1", "--target_ram_mb", "5"])
    assert options.warnings == (
        "--goaway-chance is not supported yet and has no effect",
        "--target-ram-mb is not supported yet and has no effect",
    )


def test_options_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        ApiServerOptions().secure_port = 1  # type: ignore[misc]


@pytest.mark.parametrize("flag", ["--feature-gates=A=true", "--watch-cache=false"])
def test_a_flag_that_changes_nothing_is_warned_about_by_name(flag: str) -> None:
    [warning] = ApiServerOptions.from_argv([flag]).warnings
    assert warning.startswith(flag.partition("=")[0])


def test_privileged_containers_cannot_be_forbidden_yet_and_it_says_so() -> None:
    with pytest.raises(OptionsError, match="--allow-privileged=false is not supported yet"):
        ApiServerOptions.from_argv(["--allow-privileged=false"])
