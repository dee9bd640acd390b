"""`HFUploader`: a file of rows onto the Hub, as scripts of DeepFabric do it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datafast._util.notify import warn_user
from datafast.errors import DatafastError
from datafast.facades.deepfabric.generated import Dataset

__all__ = ["HFUploader"]


class HFUploader:
    """Publishes files of rows.

    Args:
        token: a token with write access; by default that of the environment.
    """

    def __init__(self, token: str | None = None) -> None:
        self._token = token

    def push_to_hub(
        self,
        hf_dataset_repo_name: str | None = None,
        jsonl_file_path: str | Path | None = None,
        tags: Sequence[str] | None = None,
        *,
        repo_name: str | None = None,
        dataset_path: str | Path | None = None,
        private: bool = True,
    ) -> dict[str, Any]:
        """Publishes a JSONL file; `status` of the result is "success" or "error", and `message` says more.

        A new repository is private unless said otherwise. `tags` are not set.
        """
        repo, path = repo_name or hf_dataset_repo_name, dataset_path or jsonl_file_path
        if repo is None or path is None:
            return {"status": "error", "message": "Name the repository (repo_name) and the file (dataset_path)."}
        if tags:
            warn_user("tags: They are not set. Add them to the card of the dataset on the Hub.")
        try:
            Dataset.from_jsonl(path).push_to_hub(repo, private=private, token=self._token)
        except (DatafastError, OSError, ValueError) as error:
            return {"status": "error", "message": str(error)}
        return {"status": "success", "message": f"{path} is published as {repo}."}
