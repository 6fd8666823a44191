"""Which storage a URL names, and what is said where it names none."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from clustertune.coordinator.storage.opening import open_storage
from clustertune.model.errors import StorageRefused


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_path_names_a_folder(form: str, tmp_path: Path) -> None:
    asyncio.run(open_storage(form.format(tmp_path / "there"), tmp_path / "default").check())
    assert (tmp_path / "there").is_dir()
    assert not (tmp_path / "default").exists()


def test_without_a_url_it_is_the_folder_that_is_given(tmp_path: Path) -> None:
    asyncio.run(open_storage(None, tmp_path / "default").check())
    assert (tmp_path / "default").is_dir()


@pytest.mark.parametrize(
    "url", ["", "here", "ftp://x", "s3://", "s3://Bucket", "s3://key:secret@bucket", "gcs://bucket"]
)
def test_what_is_no_storage_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(StorageRefused):
        open_storage(url, tmp_path)


def test_without_obstore_a_bucket_is_refused_with_the_way_to_install_it() -> None:
    code = """
import sys
sys.modules["obstore"] = None
from pathlib import Path
from clustertune.coordinator.storage.opening import open_storage
try:
    open_storage("s3://bucket", Path("/"))
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.startswith("StorageRefused")
    assert "pip install 'clustertune[storage]'" in done.stdout


def test_a_folder_needs_no_obstore() -> None:
    code = "import sys, clustertune.coordinator.storage.opening; sys.exit('obstore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
