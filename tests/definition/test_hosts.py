"""Machines over SSH in a cluster's definition."""

from __future__ import annotations

import json

import pytest

from clustertune.definition import ClusterDefinition, load_cluster
from clustertune.definition.hosts import Host
from clustertune.model.errors import DefinitionMistake

HOW = "write it as gpu1, user@host, user@host:port or {host: …, port: …}"


def hosts(*written: str) -> list[Host]:
    cluster = load_cluster("provider: ssh\nhosts:\n" + "".join(f"  - {text}\n" for text in written))
    return [Host.model_validate(host) for host in cluster.options["hosts"]]


def told(text: str) -> list[str]:
    with pytest.raises(DefinitionMistake) as caught:
        load_cluster(text)
    return [str(problem) for problem in caught.value.problems]


def test_a_host_is_an_alias_an_address_or_a_mapping() -> None:
    assert hosts("gpu1", "alice@10.0.0.7:2222", "{host: gpu3, slots: 2}") == [
        Host(host="gpu1"),
        Host(host="10.0.0.7", user="alice", port=2222),
        Host(host="gpu3", slots=2),
    ]


def test_addresses_of_ipv6_stand_in_brackets_where_a_port_follows() -> None:
    assert hosts('"::1"', '"[fe80::1]:22"', '"root@[::1]"') == [
        Host(host="::1"),
        Host(host="fe80::1", port=22),
        Host(host="::1", user="root"),
    ]


def test_a_host_is_shown_as_it_can_be_written() -> None:
    for text in ("gpu1", "alice@10.0.0.7:2222", "[fe80::1]:22", "::1"):
        assert hosts(f'"{text}"')[0].written == text


def test_what_is_no_host_is_told_with_what_is() -> None:
    assert told('provider: ssh\nhosts: [a b, -oProxyCommand=x, 7, "a:0", {hst: q}, {host: a, slots: 0}]\n') == [
        f"<text>:2: hosts.0: 'a b' is not a host; {HOW}",
        f"<text>:2: hosts.1: '-oProxyCommand=x' is not a host; {HOW}",
        f"<text>:2: hosts.2: expected a host, found 7; {HOW}",
        "<text>:2: hosts.3: expected a port from 1 to 65535, found 0",
        "<text>:2: hosts.4.host: is missing; for example gpu1",
        "<text>:2: hosts.4.hst: no such field; did you mean 'host'?",
        "<text>:2: hosts.5.slots: must be at least 1, found 0",
    ]


def test_a_cluster_over_ssh_has_machines_and_each_once() -> None:
    assert told("provider: ssh\nname: a\n") == ['<text>: hosts: is missing; for example [gpu1, "ubuntu@10.0.0.7:2222"]']
    assert told("provider: ssh\nhosts: []\n") == ["<text>:2: hosts: names no machine"]
    assert told("provider: ssh\nhosts: [a, b, a]\n") == [
        "<text>:2: hosts.2: a is there twice; slots says how many trials run at once on a machine"
    ]


def test_setup_is_for_machines_elsewhere() -> None:
    assert load_cluster("provider: ssh\nhosts: [a]\nsetup: [make]\n").setup == ["make"]
    assert told("setup: [make]\n") == [
        "<text>:1: setup: is for machines elsewhere; on this one, run the commands yourself, once"
    ]


def test_a_cluster_over_ssh_survives_the_disk_exactly() -> None:
    cluster = load_cluster('provider: ssh\nhosts: [a, "b@c:7"]\nuser: d\nport: 22\nsetup: [make]\n')
    plain = json.loads(json.dumps(cluster.to_plain()))
    assert ClusterDefinition.from_plain(plain) == cluster
    assert ClusterDefinition.from_plain(plain).elsewhere
