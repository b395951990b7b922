"""Every error that sicmir raises on purpose.

All derive from :class:`SicmirError`, so that the command line can print the message alone and
a program can catch one class. A message names the file, gene or option, what was expected,
what was found and what to do about it.
"""

from __future__ import annotations


class SicmirError(Exception):
    """Base of every deliberate error of this package."""


class ManifestError(SicmirError):
    """``data_manifest.yaml`` breaks its schema, or a key is not in it."""


class FetchError(SicmirError):
    """A file could not be obtained, or what was obtained is not the file that was asked for."""


class UnreachableError(FetchError):
    """Neither cache nor mirror nor network has the file; ``dataset="auto"`` falls back on toy data."""


class ReadError(SicmirError):
    """A file was found but does not hold what its reader expects."""


class WriteError(SicmirError):
    """A result could not be written: no room, no permission, or a file where a folder is needed."""


class ClusterError(SicmirError):
    """The Dask cluster that was named does not answer, or lost its workers."""


class PanelError(SicmirError):
    """Genes or miRNAs cannot be mapped to the panel: wrong species, low coverage, ambiguous names."""


class DataError(SicmirError, ValueError):
    """Values or labels that cannot be analysed: NaN, negative, infinite, empty, duplicated, disjoint."""


class BundleError(SicmirError):
    """A model bundle is truncated, tampered with, of another format, or does not fit the input."""


class ParameterError(SicmirError, ValueError):
    """An option or a notebook parameter is unknown or out of range."""


class PageError(SicmirError):
    """A notebook failed while the book ran it."""
