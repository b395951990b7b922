"""Data: the manifest, getting files, reading them, and data sets by name."""

from sicmir.data.catalogue import check_paired, describe, load, load_paired, load_table, origin
from sicmir.data.fetching import fetch, fetch_file, status
from sicmir.data.folder import read_folder
from sicmir.data.manifest import Dataset, FileEntry, Manifest, load_manifest
from sicmir.data.readers import READERS, Reader, read

__all__ = [
    "READERS",
    "Dataset",
    "FileEntry",
    "Manifest",
    "Reader",
    "check_paired",
    "describe",
    "fetch",
    "fetch_file",
    "load",
    "load_manifest",
    "load_paired",
    "load_table",
    "origin",
    "read",
    "read_folder",
    "status",
]
