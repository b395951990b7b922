"""Downloads: resumed, checked, moved when right; and every way they can go wrong."""

import errno
import hashlib
import os
import re
from collections import namedtuple

import pytest
from local_server import CONTENT, NAME, empty_cache, entry, part, server

from sicmir import paths
from sicmir.data import fetch_file
from sicmir.data.checksum import digest
from sicmir.data.fetching import cache_path
from sicmir.errors import FetchError, UnreachableError

__all__ = ["empty_cache", "server"]


def test_download_then_cache(server):
    item = entry(server.url + "/file.bin")
    path = fetch_file(item, progress=False)
    assert path == cache_path(item)
    assert path.read_bytes() == CONTENT
    assert fetch_file(item, progress=False) == path
    assert len(server.requests) == 1
    assert not part().exists()


@pytest.mark.parametrize("algorithm", ["md5", "git_blob_sha1"])
def test_other_checksums(server, algorithm, tmp_path):
    (tmp_path / "x").write_bytes(CONTENT)
    if algorithm == "md5":
        value = hashlib.md5(CONTENT).hexdigest()
    else:
        value = hashlib.sha1(f"blob {len(CONTENT)}".encode() + b"\0" + CONTENT).hexdigest()
    changes = {"sha256": None, algorithm: value} | ({"bytes": None} if algorithm == "git_blob_sha1" else {})
    item = entry(server.url + "/file.bin", **changes)
    assert fetch_file(item, progress=False).read_bytes() == CONTENT
    wrong = item.model_copy(update={algorithm: value[::-1], "name": "set/other.bin"})
    with pytest.raises(FetchError, match=value):
        fetch_file(wrong, progress=False)
    assert not list((paths.cache() / "files" / "set").glob("other*"))


def test_git_blob_hash_is_git_s(tmp_path):
    (tmp_path / "x").write_bytes(b"what is up, doc?")  # the example of the book Pro Git, chapter 10.2
    assert digest(tmp_path / "x", "git_blob_sha1") == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"


def test_broken_connection_is_resumed(server):
    server.break_after = [100_000, 50_000]
    assert fetch_file(entry(server.url + "/file.bin"), progress=False).read_bytes() == CONTENT
    starts = [asked for _, asked in server.requests]
    assert starts[0] is None
    assert len(starts) == 3
    assert all(re.fullmatch(r"bytes=\d+-", asked) for asked in starts[1:])


def test_part_is_kept_and_taken_up_by_the_next_call(server):
    server.break_after = [60_000, 60_000, 60_000]
    item = entry(server.url + "/file.bin")
    with pytest.raises(UnreachableError, match="bytes are kept and the next run goes on from there"):
        fetch_file(item, progress=False)
    kept = part().stat().st_size
    assert 0 < kept <= 180_000
    assert part().read_bytes() == CONTENT[:kept]
    assert fetch_file(item, progress=False).read_bytes() == CONTENT
    assert server.requests[-1][1] == f"bytes={kept}-"


def test_only_encrypted_addresses_are_asked(server, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "requests.adapters.HTTPAdapter.send", lambda self, request, **_: asked.append(request.url)
    )
    with pytest.raises(UnreachableError, match=r"http://data\.invalid/x is not encrypted; expected https://"):
        fetch_file(entry("http://data.invalid/x"), progress=False)
    monkeypatch.setenv("SICMIR_MIRROR", "http://data.invalid/mirror")
    with pytest.raises(UnreachableError, match=rf"http://data\.invalid/mirror/{NAME} is not encrypted"):
        fetch_file(entry("http://data.invalid/x"), progress=False)
    assert asked == []


def test_a_server_that_sends_to_an_address_without_encryption_is_not_followed(server):
    server.sends_to["/file.bin"] = "http://data.invalid/file.bin"
    with pytest.raises(UnreachableError, match=r"http://data\.invalid/file\.bin is not encrypted"):
        fetch_file(entry(server.url + "/file.bin"), progress=False)
    server.sends_to["/file.bin"] = server.url + "/other.bin"
    server.files["/other.bin"] = CONTENT
    assert fetch_file(entry(server.url + "/file.bin"), progress=False).read_bytes() == CONTENT


def test_server_without_ranges_starts_over(server):
    part().parent.mkdir(parents=True)
    part().write_bytes(CONTENT[:1000])
    server.ranges = False
    assert fetch_file(entry(server.url + "/file.bin"), progress=False).read_bytes() == CONTENT


def test_part_of_a_changed_file_is_refused_and_removed(server):
    part().parent.mkdir(parents=True)
    part().write_bytes(b"old" * 1000)
    item = entry(server.url + "/file.bin")
    with pytest.raises(FetchError, match="expected sha256"):
        fetch_file(item, progress=False)
    assert not part().exists()
    assert not cache_path(item).exists()
    assert fetch_file(item, progress=False).read_bytes() == CONTENT


def test_part_longer_than_the_file_is_dropped(server):
    part().parent.mkdir(parents=True)
    part().write_bytes(CONTENT + b"more")
    assert fetch_file(entry(server.url + "/file.bin"), progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("served", "words"),
    [
        (b"x" * len(CONTENT), "expected sha256"),
        (CONTENT[:-1], f"expected {len(CONTENT)} bytes, found {len(CONTENT) - 1}"),
        (CONTENT + b"x" * 200_000, f"expected {len(CONTENT)} bytes, found"),
        (b"<html>please log in</html>", f"expected {len(CONTENT)} bytes, found 26"),
    ],
)
def test_wrong_content(server, served, words):
    server.files["/file.bin"] = served
    item = entry(server.url + "/file.bin")
    with pytest.raises(FetchError, match=words) as caught:
        fetch_file(item, progress=False)
    assert not isinstance(caught.value, UnreachableError)
    assert "file.bin" in str(caught.value)
    assert "Run again" in str(caught.value)
    assert not part().exists()
    assert not cache_path(item).exists()


def test_disk_full_beforehand(server, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10, 5, 5))
    with pytest.raises(FetchError, match=rf"disk is full: {NAME} needs {len(CONTENT)} bytes, 5 are"):
        fetch_file(entry(server.url + "/file.bin"), progress=False)
    assert server.requests == []


def test_disk_full_midway(server, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sicmir.data.download._write", fail)
    with pytest.raises(FetchError, match=r"disk is full.*SICMIR_CACHE"):
        fetch_file(entry(server.url + "/file.bin"), progress=False)


def test_progress_bar_obeys_tqdm_disable(server, capfd):
    assert os.environ["TQDM_DISABLE"] == "1"  # for the whole test session; a disable=False would overrule it
    fetch_file(entry(server.url + "/file.bin"), progress=True)
    assert capfd.readouterr().err == ""


def test_whole_part_of_unknown_size_starts_over(server):
    part().parent.mkdir(parents=True)
    part().write_bytes(CONTENT)
    value = hashlib.sha1(f"blob {len(CONTENT)}".encode() + b"\0" + CONTENT).hexdigest()
    item = entry(server.url + "/file.bin", sha256=None, bytes=None, git_blob_sha1=value)
    assert fetch_file(item, progress=False).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [f"bytes={len(CONTENT)}-", None]
