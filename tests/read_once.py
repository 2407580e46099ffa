"""What Hydra does for every composition although it need not: hundreds of tests compose the same files."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

from hydra._internal import defaults_list
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf

Load = Callable[[ConfigSource, str], ConfigResult]


def _once(load: Load) -> Load:
    """What it gives, kept as bytes: everybody is given a copy. A file that was changed since is read again."""
    kept: dict[tuple[str, str, int, int], bytes] = {}

    def loaded(self: ConfigSource, config_path: str) -> ConfigResult:
        file = os.path.join(self.path, self._normalize_file_name(config_path))
        try:
            state = os.stat(file)
        except OSError:  # not a file of its own: Hydra's lie in its package, which does not change
            key = (self.path, config_path, 0, 0)
        else:
            key = (self.path, config_path, state.st_mtime_ns, state.st_size)
        if key not in kept:
            kept[key] = pickle.dumps(load(self, config_path))
        found: ConfigResult = pickle.loads(kept[key])
        return found

    return loaded


def _where_named(create: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """The choices made so far, a quarter of all the work, only where a default names another as ``${...}``."""

    def created(overrides: defaults_list.Overrides, defaults: list, self_added: bool) -> DictConfig:
        named = any(default.is_interpolation() for default in defaults)
        return create(overrides, defaults, self_added) if named else OmegaConf.create()

    return created


@contextmanager
def read_once() -> Iterator[None]:
    """Files are read once while the block runs."""
    Plugins.instance()  # it imports the classes anew: those that were imported before are not what Hydra calls
    sources = [SourcesRegistry.instance().resolve(scheme) for scheme in ("file", "pkg")]
    patches = [mock.patch.object(source, "load_config", _once(source.load_config)) for source in sources]
    create = defaults_list._create_interpolation_map
    named = mock.patch.object(defaults_list, "_create_interpolation_map", _where_named(create))
    with patches[0], patches[1], named:
        yield
