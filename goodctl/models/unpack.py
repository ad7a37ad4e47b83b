"""A ``.gguf`` file becomes a normal model folder in the user's cache, once: reading one takes a minute."""

from __future__ import annotations

import copy
import hashlib
import importlib
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from goodctl.cache_root import cache_root
from goodctl.errors import GoodctlError, IncompatibleError, MissingDependency, ServiceError
from goodctl.models.cache import remembered_hash
from goodctl.models.origin import record_origin
from goodctl.models.quiet import quiet
from goodctl.progress import Progress, Report, silent


def unpack_file(gguf: Path, report: Report = silent) -> Path:
    """The model folder of a ``.gguf`` file, unpacked at the first call.

    Raises:
        MissingDependency: The packages that read ``.gguf`` are not installed.
        IncompatibleError: transformers cannot read this file.
        ServiceError: The cache cannot be written.
    """

    def digest() -> str:
        with gguf.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    sha256 = remembered_hash("file", [gguf], digest)
    return unpack_once(gguf.stem, sha256, lambda _: gguf, report=report, install="pip install 'goodctl[gguf]'")


def unpack_once(
    stem: str, sha256: str, provide: Callable[[Path], Path], *, report: Report = silent, install: str
) -> Path:
    """The folder ``models/<stem>-<hash>`` of the cache, made if it is not there.

    The folder appears whole or not at all: it is written beside its place and renamed, and a lock keeps two processes
    from doing the same work.

    Args:
        stem: Begins the folder's name.
        sha256: The SHA-256 of the ``.gguf``.
        provide: Given an empty folder to work in, returns the path of the ``.gguf``.
        report: Told when unpacking begins and ends.
        install: The line that installs what is missing.
    """
    models = cache_root() / "models"
    folder = models / f"{re.sub(r'[^A-Za-z0-9._-]', '_', stem)}-{sha256[:16]}"
    if folder.is_dir():
        return folder
    _require_packages(install)
    try:
        models.mkdir(parents=True, exist_ok=True)
        with FileLock(models / f"{folder.name}.lock"):
            if folder.is_dir():
                return folder
            work = models / f"{folder.name}.part"
            # A killed run leaves its folder behind; under the lock nobody else can be using it.
            shutil.rmtree(work, ignore_errors=True)
            (work / "gguf").mkdir(parents=True)
            try:
                note = f"unpacking {stem} into {folder}: once, about a minute"
                report(Progress("unpacking", note=note))
                _convert(provide(work / "gguf"), work / "model")
                record_origin(work / "model", sha256)
                (work / "model").rename(folder)
                report(Progress("unpacking", finished=True))
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise ServiceError(
            f"Unpacking {stem} into {models} failed: {error}.",
            hint="Make room there, or set GOODCTL_CACHE to a folder with room.",
        ) from error
    return folder


def _require_packages(install: str) -> None:
    try:
        # transformers asks for both when it reads such a file.
        for package in ("gguf", "accelerate"):
            importlib.import_module(package)
    except ImportError as error:
        raise MissingDependency(f"Reading a .gguf file needs the package {error.name}.", hint=install) from error


def _convert(gguf: Path, target: Path) -> None:
    """Read a ``.gguf`` and write it as float32 safetensors with its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet(), _no_bar():
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
            read = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
        except GoodctlError:
            raise
        except Exception as error:
            # What transformers raises for a file it cannot read is of no certain type.
            raise IncompatibleError(
                f"transformers cannot read {gguf.name}: {error}",
                hint="Use the model's folder in Hugging Face's format, or a newer transformers.",
            ) from error
        fresh = _unquantised(read)
        fresh.save_pretrained(target)
        tokenizer.save_pretrained(target)


@contextmanager
def _no_bar() -> Iterator[None]:
    """No bar while tensors are read: the one in transformers' reader heeds none of its settings."""
    from transformers import modeling_gguf_pytorch_utils as reader

    bar = getattr(reader, "tqdm", None)
    if bar is None:
        yield
        return
    reader.tqdm = lambda items, **_: items
    try:
        yield
    finally:
        reader.tqdm = bar


def _unquantised(read: Any) -> Any:
    """The same weights in a model that is not marked as quantised: a marked one refuses ``save_pretrained``."""
    import torch
    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(read.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        fresh = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    # Assigned, not copied: a second copy of the weights would double the memory.
    fresh.load_state_dict(read.state_dict(), assign=True)
    fresh.tie_weights()
    fresh.generation_config = read.generation_config
    return fresh
