"""Fetching: cache, then mirror, then the address; always checked."""

import os
import re
from multiprocessing import get_context

import pytest
from data_files import dataset, file_entry, write_manifest
from local_server import CONTENT, NAME, empty_cache, entry, server

from sicmir import paths
from sicmir.data import fetch, fetch_file, status
from sicmir.data.checksum import verify
from sicmir.data.fetching import cache_path
from sicmir.errors import FetchError, UnreachableError

__all__ = ["empty_cache", "server"]


def mirror(tmp_path, monkeypatch, content=CONTENT):
    path = tmp_path / "mirror" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    monkeypatch.setenv("SICMIR_MIRROR", str(tmp_path / "mirror"))
    return path


def test_unreachable_says_what_was_tried():
    item = entry("http://127.0.0.1:9/file.bin")
    with pytest.raises(UnreachableError) as caught:
        fetch_file(item, progress=False)
    message = str(caught.value)
    for word in (NAME, str(cache_path(item)), "SICMIR_MIRROR", item.url, item.checksum):
        assert word in message


def test_missing_at_the_address(server):
    with pytest.raises(UnreachableError, match="answered 404"):
        fetch_file(entry(server.url + "/gone.bin"), progress=False)


def test_mirror_folder_is_used_in_place(tmp_path, monkeypatch):
    path = mirror(tmp_path, monkeypatch)
    item = entry("http://127.0.0.1:9/file.bin")
    assert fetch_file(item, progress=False) == path
    assert not cache_path(item).exists()


def test_mirror_lacking_the_file_falls_through(tmp_path, monkeypatch, server):
    monkeypatch.setenv("SICMIR_MIRROR", str(tmp_path))
    assert fetch_file(entry(server.url + "/file.bin"), progress=False).read_bytes() == CONTENT
    with pytest.raises(UnreachableError, match=re.escape(f"mirror {tmp_path / 'set/no.bin'} (not there)")):
        fetch_file(entry(server.url + "/gone.bin", name="set/no.bin"), progress=False)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"x" * len(CONTENT), "expected sha256"), (CONTENT[:100], "found 100")],
    ids=["altered", "cut off"],
)
def test_wrong_file_in_the_mirror(tmp_path, monkeypatch, content, words):
    path = mirror(tmp_path, monkeypatch, content)
    with pytest.raises(FetchError, match=f"{re.escape(str(path))}: .*{words}.*unset SICMIR_MIRROR"):
        fetch_file(entry("http://127.0.0.1:9/file.bin"), progress=False)


def test_mirror_address(monkeypatch, server):
    server.files = {f"/base/{NAME}": CONTENT}
    monkeypatch.setenv("SICMIR_MIRROR", server.url + "/base/")
    assert fetch_file(entry(server.url + "/file.bin"), progress=False).read_bytes() == CONTENT
    server.files = {"/file.bin": CONTENT}
    assert (
        fetch_file(entry(server.url + "/file.bin", name="set/b.bin"), progress=False).read_bytes() == CONTENT
    )


def test_damaged_cache_is_fetched_again(server):
    item = entry(server.url + "/file.bin")
    path = fetch_file(item, progress=False)
    path.write_bytes(b"x" * len(CONTENT))
    assert fetch_file(item, progress=False).read_bytes() == CONTENT
    path.write_bytes(b"x" * len(CONTENT))
    with pytest.raises(FetchError, match="found") as caught:
        fetch_file(item.model_copy(update={"url": "http://127.0.0.1:9/x"}), progress=False)
    assert not isinstance(caught.value, UnreachableError)


def test_a_changed_file_of_the_same_size_and_time_is_refused(server):
    item = entry(server.url + "/file.bin")
    path = fetch_file(item, progress=False)
    verify(path, item, "")
    time = path.stat().st_mtime_ns
    path.write_bytes(b"x" * len(CONTENT))
    os.utime(path, ns=(time, time))
    with pytest.raises(FetchError, match="expected sha256"):
        verify(path, item, "")


def test_a_large_checked_file_is_not_hashed_twice(server, monkeypatch):
    item = entry(server.url + "/file.bin")
    path = fetch_file(item, progress=False)
    monkeypatch.setattr("sicmir.data.checksum.NOTED_FROM", len(CONTENT))
    verify(path, item, "")
    monkeypatch.setattr("sicmir.data.checksum.digest", lambda *_: pytest.fail("hashed again"))
    verify(path, item, "")
    os.utime(path, ns=(1, 1))
    with pytest.raises(pytest.fail.Exception):
        verify(path, item, "")


def test_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("a file, not a folder")
    monkeypatch.setenv("SICMIR_CACHE", str(tmp_path / "taken"))
    with pytest.raises(FetchError, match=r"Cannot write into the cache folder .*taken.*SICMIR_CACHE"):
        fetch_file(entry(server.url + "/file.bin"), progress=False)
    path = mirror(tmp_path, monkeypatch)
    assert fetch_file(entry("http://127.0.0.1:9/file.bin"), progress=False) == path


def _fetch_in_process(url, queue):
    queue.put(str(fetch_file(entry(url), progress=False)))


def test_two_processes_fetch_once(server):
    context = get_context("fork")
    queue = context.Queue()
    workers = [
        context.Process(target=_fetch_in_process, args=(server.url + "/file.bin", queue)) for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    found = {queue.get(timeout=30) for _ in workers}
    for worker in workers:
        worker.join(30)
    assert len(found) == 1
    assert len(server.requests) == 1


def test_status_and_fetch_of_a_data_set(tmp_path, monkeypatch):
    def place(folder):
        for name in "ab":
            (folder / "set").mkdir(parents=True, exist_ok=True)
            (folder / "set" / f"{name}.bin").write_text(name)

    place(tmp_path / "mirror")
    files = [file_entry(tmp_path / "mirror" / "set" / f"{name}.bin", f"set/{name}.bin") for name in "ab"]
    path = write_manifest(tmp_path / "m.yaml", **{"my-set": dataset(files)})
    monkeypatch.setattr(paths, "manifest", lambda: path)
    assert status("my-set") == "online"
    monkeypatch.setenv("SICMIR_MIRROR", str(tmp_path / "mirror"))
    assert status("my-set") == "mirror"
    assert fetch("my-set", progress=False) == {
        f"set/{name}.bin": tmp_path / "mirror" / "set" / f"{name}.bin" for name in "ab"
    }
    place(paths.cache() / "files")
    assert status("my-set") == "cached"
