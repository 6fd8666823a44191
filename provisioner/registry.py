"""Providers by name; third parties add theirs through the entry-point group ``clustertune.providers``."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from clustertune.model.errors import NoSuchName, ProviderFatal
from clustertune.provisioner.contracts import Provider, ProviderSetting

_BUILT_IN = {
    "local": ("clustertune.provisioner.providers.local", "Local"),
    "ssh": ("clustertune.provisioner.providers.ssh", "Ssh"),
}


def make_provider(name: str, setting: ProviderSetting) -> Provider:
    """The provider called ``name``. Raises NoSuchName, ProviderFatal."""
    if name in _BUILT_IN:
        module, cls = _BUILT_IN[name]
        built: Provider = getattr(import_module(module), cls)(setting)
        return built
    others: dict[str, Any] = {point.name: point for point in entry_points(group="clustertune.providers")}
    if name not in others:
        raise NoSuchName("provider", name, [*_BUILT_IN, *others])
    try:
        plugged: Provider = others[name].load()(setting)
    except ImportError as error:
        raise ProviderFatal(f"provider {name!r} cannot be loaded: {error}") from error
    return plugged
