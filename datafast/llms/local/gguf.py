"""GGUF files: a path on this machine, or a repository of the Hugging Face Hub to download from.

Guarantee: the model's name in rows never contains a path of this machine. A file in the local cache of the Hub is not
downloaded again. Limits: a private repository needs HF_TOKEN.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.user_path import is_file, is_folder, user_path
from datafast.errors import ConfigError
from datafast.llms.transport.redaction import redact

__all__ = ["GgufSource"]

_SUFFIX = ".gguf"
_MAGIC = b"GGUF"
_USUAL_QUANT = "Q4_K_M"
_PART = r"[\w][\w.-]*"
_REPO = re.compile(rf"(?P<repo>{_PART}/{_PART})(?::(?P<quant>[\w.-]+))?", re.ASCII)
_FILE_IN_REPO = re.compile(rf"(?P<repo>{_PART}/{_PART})/(?P<file>.+{re.escape(_SUFFIX)})", re.ASCII | re.IGNORECASE)
# A large model is split into files; llama.cpp gets the first and finds the others next to it.
_SHARD = re.compile(r"-(?P<number>\d{5})-of-(?P<count>\d{5})(?=\.gguf$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufSource:
    """A GGUF file: `path`, or `filename` in `repo_id` (by default the repository's file of the quantisation `quant`)."""

    path: Path | None = None
    repo_id: str | None = None
    filename: str | None = None
    quant: str | None = None
    revision: str | None = None

    @classmethod
    def of(cls, text: str, *, key: str, revision: str | None = None) -> GgufSource:
        """Reads `model.gguf`, `owner/name`, `owner/name:QUANT` or `owner/name/model.gguf`. A file on the disk comes first."""
        path = user_path(text)
        if is_file(path) or is_folder(path):
            return cls(path=path)
        if found := _FILE_IN_REPO.fullmatch(text):
            return cls(repo_id=found["repo"], filename=found["file"], revision=revision)
        if not text.lower().endswith(_SUFFIX) and (found := _REPO.fullmatch(text)):
            return cls(repo_id=found["repo"], quant=found["quant"], revision=revision)
        if text.lower().endswith(_SUFFIX):
            return cls(path=path)  # checked when it is needed, because a config may be checked on another machine
        raise ConfigError(
            f"{key}: expected the path of a .gguf file, or a repository like owner/name, owner/name:{_USUAL_QUANT} or "
            f"owner/name/file.gguf, got {text!r}.",
            key=key,
        )

    @property
    def model_id(self) -> str:
        """The name in rows: the file's name without its ending, after the repository if there is one."""
        if self.path is not None:
            return _stem(self.path.name)
        if self.filename is not None:
            return f"{self.repo_id}/{_stem(PurePosixPath(self.filename).name)}"
        return f"{self.repo_id}:{self.quant}" if self.quant else str(self.repo_id)

    def check(self) -> None:
        """Checks the file, if it is on this machine.

        Raises:
            ConfigError: it does not exist, or is not a GGUF file.
        """
        if self.path is not None:
            _check_file(_one_file(self.path))

    def fetch(self) -> Path:
        """The path of the file, which is downloaded if it is not here yet. Blocks.

        Raises:
            ConfigError: it does not exist, or cannot be downloaded.
        """
        path = _one_file(self.path) if self.path is not None else self._download()
        _check_file(path)
        return path

    @foreign_warnings_ignored()
    def _download(self) -> Path:
        from huggingface_hub import HfApi, get_token, hf_hub_download

        repo_id, endpoint = str(self.repo_id), os.environ.get("HF_ENDPOINT") or None
        where: Any = {"revision": self.revision, "endpoint": endpoint}
        try:
            filename = self.filename
            if filename is None:
                listed = HfApi(endpoint=endpoint).list_repo_files(repo_id, revision=self.revision)
                filename = _chosen(listed, repo_id, self.quant)
            paths = [hf_hub_download(repo_id, name, **where) for name in _all_parts(filename)]
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001 - each release of the client has classes of its own for a network that is down
            reason = redact(" ".join(str(error).split())[:300], [get_token() or ""])
        else:
            return Path(paths[0])
        # Raised here, so that the client's own error is not its context: that may repeat the token.
        raise ConfigError(
            f"repo_id: Cannot download {repo_id} from the Hugging Face Hub, and it is not a file here. Check the name "
            f"and the network, and HF_TOKEN if it is private or gated. {reason.rstrip('.')}.",
            key="repo_id",
        )


def _stem(name: str) -> str:
    return _SHARD.sub("", name)[: -len(_SUFFIX)] if name.lower().endswith(_SUFFIX) else name


def _one_file(path: Path) -> Path:
    """The file; if a folder is given, the only model in it."""
    if not is_folder(path):
        return path
    names = [file.name for file in path.iterdir() if file.name.lower().endswith(_SUFFIX)]
    first = _first_parts(names)
    if len(first) != 1:
        found = f"has {', '.join(sorted(first))}. Name one of them" if first else "has no .gguf file. Name another path"
        raise ConfigError(f"model_path: The folder {path} {found}.", key="model_path")
    return path / first[0]


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except FileNotFoundError:
        raise ConfigError(
            f"model_path: There is no file {path}. Check its name and its folder.", key="model_path"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"model_path: Cannot read {path}: {error.strerror}. Check its permissions.", key="model_path"
        ) from error
    if magic != _MAGIC:
        raise ConfigError(
            f"model_path: {path} is not a GGUF file. Convert it, or use TransformersProvider for models in other formats.",
            key="model_path",
        )


def _first_parts(names: list[str]) -> list[str]:
    """The files that llama.cpp can load: not later parts of a model, nor files that only accompany one."""
    parts = [(name, _SHARD.search(name)) for name in names]
    return [
        name for name, part in parts if (part is None or int(part["number"]) == 1) and not name.startswith("mmproj")
    ]


def _chosen(files: list[str], repo_id: str, quant: str | None) -> str:
    found = _first_parts([name for name in files if name.lower().endswith(_SUFFIX)])
    if not found:
        raise ConfigError(f"repo_id: {repo_id} has no .gguf file. Name another repository.", key="repo_id")
    wanted = (quant or _USUAL_QUANT).lower()
    fitting = [name for name in found if wanted in PurePosixPath(name).name.lower()]
    if not fitting and quant is None and len(found) == 1:
        fitting = found
    if len(fitting) != 1:
        what = f"{len(fitting)} files" if fitting else "no file"
        raise ConfigError(
            f"filename: {repo_id} has {what} with {quant or _USUAL_QUANT} in the name. Name one of its files: "
            f"{', '.join(found)}.",
            key="filename",
        )
    return fitting[0]


def _all_parts(filename: str) -> list[str]:
    part = _SHARD.search(filename)
    if part is None:
        return [filename]
    count = int(part["count"])
    return [_SHARD.sub(f"-{number:05}-of-{count:05}", filename) for number in range(1, count + 1)]
