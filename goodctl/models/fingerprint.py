"""What identifies a model: keys of one model mean nothing to another.

The fingerprint depends on the files of the model alone: not on the precision it is loaded in, the way its weights are
spread over files, its folder's name, its chat template or the version of a library.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from goodctl.errors import DamagedError
from goodctl.models.cache import remembered_hash
from goodctl.models.origin import origin
from goodctl.models.source import ModelSource
from goodctl.models.weight_files import hash_weights, weight_files
from goodctl.progress import Report, silent

# These change with the library, the folder or the way of loading, and leave the hidden states as they are.
_VOLATILE = {"transformers_version", "torch_dtype", "dtype", "_name_or_path", "_model_name_or_path", "use_cache"}

# Scripts, normal forms, white space, digits and control characters on which tokenizers are known to differ.
PROBES = (
    "",
    " ",
    "Hello, world!",
    " hello  world\n\n\tEnd ",
    "Don't SHOUT; it's 3.14 or 1,000,000 (2024-01-31).",
    "naïve café — “quotes” … ﬁne",
    "e\u0301 \u00e9 \uff21\uff22 \u00a0nbsp\u200bzero",
    "Straße, señor, Ærø, čeština, żółć, İstanbul",
    "Привет, мир! Как дела?",
    "Γειά σου Κόσμε",
    "你好,世界。今天天气很好",
    "こんにちは世界 カタカナ",
    "안녕하세요 세계",
    "مرحبا بالعالم",
    "שלום עולם",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "👍🏽👩\u200d👩\u200d👧 \U00010348",
    "def f(x):\n    return x**2  # ok\r\n",
    "<s></s><|endoftext|><bos><eos>[CLS][SEP]",
)


@dataclass(frozen=True)
class Fingerprint:
    """Three SHA-256 in hexadecimal: of the configuration, the tokenizer and the weights."""

    config: str
    tokenizer: str
    weights: str

    @property
    def short(self) -> str:
        """16 hexadecimal digits for all three."""
        return hashlib.sha256(f"{self.config}\n{self.tokenizer}\n{self.weights}".encode()).hexdigest()[:16]

    def differences(self, other: Fingerprint) -> list[str]:
        """Which of ``config``, ``tokenizer`` and ``weights`` differ."""
        mine, others = self.to_dict(), other.to_dict()
        return [name for name in mine if mine[name] != others[name]]

    def to_dict(self) -> dict[str, str]:
        """The three hashes under their names."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, str]) -> Fingerprint:
        """The inverse of ``to_dict``; other names are ignored."""
        return cls(config=stored["config"], tokenizer=stored["tokenizer"], weights=stored["weights"])


def fingerprint(source: ModelSource, tokenizer: Any, report: Report = silent) -> Fingerprint:
    """The fingerprint of a model on this machine.

    The weights are read once; later calls take their hash from the user's cache while the files stay the same.

    Args:
        source: Where the model is.
        tokenizer: Its tokenizer, as ``load_tokenizer`` gives it.
        report: Told of the bytes read.

    Raises:
        NotFoundError: The folder has no weights.
        DamagedError: A file cannot be read as what it should be.
    """
    return Fingerprint(
        config=config_hash(source),
        tokenizer=_hash_tokenizer(tokenizer),
        weights=weights_hash(source, report),
    )


def config_hash(source: ModelSource) -> str:
    """The configuration's part of the fingerprint.

    Raises:
        DamagedError: The file cannot be read as what it should be.
    """
    return origin(source.folder) or _hash_config(source.folder / "config.json")


def weights_hash(source: ModelSource, report: Report = silent) -> str:
    """The weights' part of the fingerprint.

    Raises:
        NotFoundError: The folder has no weights.
        DamagedError: A file cannot be read as what it should be.
    """
    files = weight_files(source.folder)
    return remembered_hash("weights", files, lambda: hash_weights(files, report))


def _hash_config(path: Path) -> str:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DamagedError(f"{path} is not JSON: {error}.", hint="Fetch the model again.") from error
    return _hash_json(_without_volatile(config))


def _without_volatile(value: Any) -> Any:
    """Nested too: a model of several parts has a configuration in its configuration."""
    if isinstance(value, dict):
        return {name: _without_volatile(inner) for name, inner in value.items() if name not in _VOLATILE}
    return value


def _hash_tokenizer(tokenizer: Any) -> str:
    ids = [list(tokenizer(text, add_special_tokens=True, verbose=False)["input_ids"]) for text in PROBES]
    special = [tokenizer.bos_token_id, tokenizer.eos_token_id]
    return _hash_json([sorted(tokenizer.get_vocab().items()), ids, special])


def _hash_json(value: Any) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
