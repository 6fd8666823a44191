"""What went wrong on the way to a machine, in words that say what to do, and whether trying again may help."""

from __future__ import annotations

import errno
import socket

import asyncssh

from clustertune.model.errors import ProviderCredentials, ProviderError, ProviderFatal, ProviderTransient
from clustertune.provisioner.bootstrap.ssh_config import Settings
from clustertune.provisioner.bootstrap.user_keys import UserKeys


def explain(error: Exception, settings: Settings, keys: UserKeys, command: str, via: str | None) -> ProviderError:
    """``command`` is what the user would type; ``via`` names the machine that this one is reached through."""
    where = f"{settings.where} (through {via})" if via else settings.where
    match error:
        case asyncssh.PermissionDenied():
            return ProviderCredentials(_denied(where, settings, keys, command))
        case asyncssh.ChannelOpenError():
            return _not_through(error, settings.where, via or "")
        case asyncssh.KeyExchangeFailed() | asyncssh.ProtocolNotSupported():
            return ProviderFatal(f"{where} and we have no way of encryption in common: {error.reason}; update its sshd")
        case asyncssh.DisconnectError() if "too many authentication" in error.reason.lower():
            return ProviderCredentials(_too_many(where, keys))
        case asyncssh.DisconnectError():
            return ProviderTransient(f"{where} ended the connection before we were let in: {error.reason or error}")
        case socket.gaierror():
            return _unnamed(error, settings.hostname)
        case TimeoutError():
            return ProviderTransient(f"{where} does not answer in time; is it on, and may this network reach it?")
        case ConnectionRefusedError():
            return ProviderTransient(
                f"{where} refuses connections: no sshd listens on port {settings.port} there (yet)"
            )
        case OSError():
            return _unreachable(error, where)
        case _:
            return ProviderFatal(f"{where} cannot be connected to: {error}")


def _denied(where: str, settings: Settings, keys: UserKeys, command: str) -> str:
    offered = "; ".join(keys.offered) if keys.offered else "no key, as there is none"
    left_out = f". Not offered: {'; '.join(keys.left_out)}" if keys.left_out else ""
    return (
        f"{where} does not let {settings.user} in. Offered: {offered}{left_out}. "
        f"See that `{command}` works without a password (`ssh-copy-id` puts a key there), then try again"
    )


def _too_many(where: str, keys: UserKeys) -> str:
    return (
        f"{where} lets us offer only so many keys, and none of these fitted: {'; '.join(keys.offered)}. Name the right "
        "one: `identity` in the cluster's definition, or IdentityFile with `IdentitiesOnly yes` in your ssh_config"
    )


def _not_through(error: asyncssh.ChannelOpenError, where: str, via: str) -> ProviderError:
    if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return ProviderFatal(f"{via} forwards no connections to {where}; its sshd must say `AllowTcpForwarding yes`")
    return ProviderTransient(f"{via} does not reach {where}: {error.reason}")


def _unnamed(error: socket.gaierror, name: str) -> ProviderError:
    if error.errno == socket.EAI_AGAIN:
        return ProviderTransient(f"{name!r} cannot be looked up now ({error.strerror}); is there a network?")
    return ProviderFatal(
        f"there is no host {name!r} ({error.strerror}); see its spelling, or give it a HostName in ssh_config"
    )


def _unreachable(error: OSError, where: str) -> ProviderError:
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL):
        return ProviderTransient(f"there is no way to {where}: {error.strerror}; is it on, and is there a network?")
    # asyncio tells of several addresses that were tried in one error without a number
    return ProviderTransient(f"{where} cannot be reached: {error.strerror or error}")
