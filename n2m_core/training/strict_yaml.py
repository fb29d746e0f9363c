"""YAML into frozen dataclasses: unknown keys, missing ones and wrong types are refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import types
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from n2m_core.errors import ConfigError

Config = TypeVar("Config")
BESIDE_THE_WEIGHTS = frozenset(
    ("title", "limits", "license", "licence", "attribution", "twin", "validation", "inference",
     "stop_at")
)  # fmt: skip
"""Entries of a configuration that may change while a run goes on: its weights don't depend on them.
"""


class Seeded(typing.Protocol):
    """A configuration of a run: frozen dataclass, named, with a seed."""

    @property
    def id(self) -> str:
        """Name of the run and of its checkpoint."""

    @property
    def seed(self) -> int:
        """Decides everything random."""


SeededConfig = TypeVar("SeededConfig", bound=Seeded)


def read_strict(path: Path, cls: type[Config]) -> Config:
    """Read a YAML file as a dataclass.

    Args:
        path: a YAML file.
        cls: the dataclass; its fields may be dataclasses, tuples, literals, unions and scalars.

    Returns:
        The configuration, every key known and every value of its type.

    Raises:
        ConfigError: the file can't be read, or a key or value is wrong.
    """
    config = _build(cls, _read(path), path.name)
    assert isinstance(config, cls)
    return config


def read_seeded(path: Path, cls: type[SeededConfig], seed: int | None) -> SeededConfig:
    """Read the configuration of a run, perhaps with another seed.

    Args:
        path: a YAML file.
        cls: the dataclass.
        seed: in place of the file's; the run and its checkpoint are then called `<id>-seed<seed>`.

    Returns:
        The configuration, every key known and every value of its type.

    Raises:
        ConfigError: the file can't be read, or a key or value is wrong.
    """
    config: Any = read_strict(path, cls)
    if seed is not None:
        config = dataclasses.replace(config, id=f"{config.id}-seed{seed}", seed=seed)
    assert isinstance(config, cls)
    return config


def digest_of(*configs: object) -> str:
    """Name all that decides the weights of a run.

    Args:
        configs: dataclasses that `read_strict` could have made.

    Returns:
        SHA-256, hexadecimal; the same however the files are written, and for other titles,
        licences, validation sets and ways to map.
    """
    text = json.dumps([_deciding(config) for config in configs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _deciding(value: object) -> object:
    """Strip a configuration of what its weights don't depend on."""
    if dataclasses.is_dataclass(value):
        names = (each.name for each in dataclasses.fields(value))
        kept = (name for name in names if name not in BESIDE_THE_WEIGHTS)
        return {name: _deciding(getattr(value, name)) for name in kept}
    if isinstance(value, tuple | list):
        return [_deciding(each) for each in value]
    return value


def read_entry(path: Path, key: str) -> Any:  # noqa: ANN401
    """Read one entry of a YAML file, unchecked, to see which kind of configuration it is.

    Returns:
        The value; None where there is none.

    Raises:
        ConfigError: the file can't be read.
    """
    raw = _read(path)
    return raw.get(key) if isinstance(raw, dict) else None


def _read(path: Path) -> Any:  # noqa: ANN401
    """Read a YAML file as plain values."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as e:
        raise ConfigError(f"{path} can't be read ({e.strerror}).") from e
    except yaml.YAMLError as e:
        raise ConfigError(f"{path} is not YAML: {e}") from e


class _Loader(yaml.SafeLoader):
    """YAML that reads 1e-4 as a number, as YAML 1.2 does."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def _build(cls: Any, raw: Any, where: str) -> Any:  # noqa: ANN401
    """Build a dataclass from a mapping, refusing unknown, missing and mistyped entries."""
    if not isinstance(raw, dict):
        raise ConfigError(f"{where} is {raw!r}; a mapping is wanted.")
    hints = get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(str(k) for k in raw.keys() - fields.keys())
    if unknown:
        raise ConfigError(
            f"{where} has unknown keys: {', '.join(unknown)}. Known: {', '.join(fields)}."
        )
    missing = [
        name
        for name, f in fields.items()
        if name not in raw
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where} lacks {', '.join(missing)}.")
    return cls(**{k: _value(hints[k], v, f"{where}: {k}") for k, v in raw.items()})


def _value(hint: Any, raw: Any, where: str) -> Any:  # noqa: ANN401
    """Check one value against its type."""
    origin = get_origin(hint)
    if dataclasses.is_dataclass(hint):
        return _build(hint, raw, where)
    if origin is tuple:
        if not isinstance(raw, list):
            raise ConfigError(f"{where} is {raw!r}; a list is wanted.")
        inner = get_args(hint)[0]
        return tuple(_value(inner, v, f"{where}[{i}]") for i, v in enumerate(raw))
    if origin is Literal:
        if raw not in get_args(hint):
            choices = ", ".join(map(str, get_args(hint)))
            raise ConfigError(f"{where} is {raw!r}; one of {choices} is wanted.")
        return raw
    if origin in (typing.Union, types.UnionType):
        return _union(get_args(hint), raw, where)
    return _scalar(dict if origin is dict else hint, raw, where)


def _union(members: tuple[Any, ...], raw: Any, where: str) -> Any:  # noqa: ANN401
    """Check a value against each member of a union."""
    if raw is None and type(None) in members:
        return None
    for member in members:
        if member is not type(None):
            try:
                return _value(member, raw, where)
            except ConfigError:
                continue
    names = " or ".join("nothing" if m is type(None) else m.__name__ for m in members)
    raise ConfigError(f"{where} is {raw!r}; {names} is wanted.")


def _scalar(kind: Any, raw: Any, where: str) -> Any:  # noqa: ANN401
    """Check a plain value; an int may stand for a float, a bool for nothing else."""
    if kind is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    if not isinstance(raw, kind) or (kind is int and isinstance(raw, bool)):
        raise ConfigError(f"{where} is {raw!r}; {kind.__name__} is wanted.")
    return raw
