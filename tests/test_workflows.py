"""The workflows of continuous integration: pinned, with few permissions, and in step with the package."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSIONS = [text.split(" :: ")[-1] for text in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", text)]
WRITES = {
    ("book.yml", "publish"): {"pages": "write", "id-token": "write"},
    ("release.yml", "publish"): {"id-token": "write"},
}
"""All that jobs may write, by workflow and job."""


def load(path):
    # YAML 1.1 reads the key `on` as true
    return {("on" if key is True else key): value for key, value in yaml.safe_load(path.read_text()).items()}


JOBS = [(path.name, name, job) for path in FILES for name, job in load(path)["jobs"].items()]
STEPS = [(file, name, step) for file, name, job in JOBS for step in job["steps"]]


def test_all_workflows_are_found():
    assert [path.name for path in FILES] == ["audit.yml", "book.yml", "release.yml", "test.yml"]


def test_every_action_is_pinned_by_commit_and_says_its_version():
    lines = [line for path in FILES for line in path.read_text().splitlines() if "uses:" in line]
    pins = {}
    for line in lines:
        found = re.search(r"uses: ([\w.-]+/[\w./-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)( # .*)?$", line)
        assert found, f"not pinned by commit, or without its version: {line.strip()}"
        assert pins.setdefault(found[1], found.groups()[1:3]) == found.groups()[1:3], (
            f"two pins of {found[1]}"
        )
    assert len(lines) == sum("uses" in step for _, _, step in STEPS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_permissions_are_least(path):
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in workflow["on"]
    for name, job in workflow["jobs"].items():
        assert job.get("permissions", {}) == WRITES.get((path.name, name), {})
        assert job["timeout-minutes"] <= 350


def test_only_a_tag_publishes_and_only_what_was_tried():
    for file, name in WRITES:
        job = next(job for f, n, job in JOBS if (f, n) == (file, name))
        assert "github.ref_type == 'tag'" in job["if"]
        assert job["needs"]
        assert not any("run" in step for step in job["steps"]), "a job that may write runs no code of ours"
    assert "try" in next(job for f, n, job in JOBS if (f, n) == ("release.yml", "publish"))["needs"]


def test_checkouts_leave_no_credentials_and_no_secret_is_used():
    for file, name, step in STEPS:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, (file, name)
    assert not any("secrets." in path.read_text() for path in FILES)


def test_commands_hold_nothing_that_others_can_write():
    # ${{ }} is put into the script as text: a title of a pull request could be a command
    for file, name, step in STEPS:
        assert "${{" not in step.get("run", ""), (file, name)


def test_python_versions_are_those_of_the_package():
    assert VERSIONS == ["3.11", "3.12", "3.13"]
    assert PROJECT["requires-python"] == f">={VERSIONS[0]}"
    for file, name in (("test.yml", "test"), ("release.yml", "try")):
        job = next(job for f, n, job in JOBS if (f, n) == (file, name))
        assert job["strategy"]["matrix"]["python-version"] == VERSIONS
    for _, _, step in STEPS:
        version = step.get("with", {}).get("python-version")
        assert version in (None, "${{ matrix.python-version }}", *VERSIONS)


def test_what_the_steps_call_is_there():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for _, _, step in STEPS:
        command = step.get("run", "")
        assert set(re.findall(r"^make (\w+)", command)) <= set(targets)
        for script in re.findall(r"\.github/scripts/\S+", command):
            assert (ROOT / script).is_file()


def test_the_book_is_checked_on_pull_requests_and_whole_for_a_tag():
    workflow = load(ROOT / ".github" / "workflows" / "book.yml")
    assert {"pull_request", "push"} <= set(workflow["on"])
    assert workflow["env"]["PROFILE"] == "${{ github.ref_type == 'tag' && 'full' || inputs.profile || 'ci' }}"
    steps = workflow["jobs"]["build"]["steps"]
    runs = [step.get("run", step.get("uses", "")) for step in steps if "if" not in step]
    order = [
        next(i for i, run in enumerate(runs) if part in run)
        for part in ("make book", "check_links.sh", "actions/upload-artifact@")
    ]
    assert order == sorted(order)


def test_scripts_of_the_workflows_are_sound():
    for path in (ROOT / ".github" / "scripts").iterdir():
        if path.suffix == ".sh":
            subprocess.run(["bash", "-n", path], check=True)
            assert path.stat().st_mode & 0o100, f"{path} should be executable"
        else:
            compile(path.read_text(), path, "exec")
