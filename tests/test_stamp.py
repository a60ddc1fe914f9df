"""`repro.stamp`: what it says, and where it takes it from."""

import subprocess
import sys
import types

import pytest

from repro.kit import data, provenance
from repro.kit.stamp import KIND, Stamp, stamp


def tensorflow(*gpus):
    """As much of TensorFlow as a stamp asks for, on a machine with these GPUs."""
    config = types.SimpleNamespace(
        list_physical_devices=lambda kind: list(gpus) if kind == "GPU" else [],
        experimental=types.SimpleNamespace(get_device_details=lambda gpu: {"device_name": gpu}),
    )
    return types.SimpleNamespace(config=config)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A git checkout with one commit, to which the stamp belongs."""
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow())
    (tmp_path / "requirements.txt").write_text("nothing==1.0\n")
    for command in ("init -q", "add .", "-c user.name=a -c user.email=a@b.c commit -qm first"):
        subprocess.run(["git", "-C", tmp_path, *command.split()], check=True)
    return tmp_path


def rows():
    return stamp(profile="smoke", seed=3).rows


def test_profile_and_seed_are_those_given(root):
    assert rows()["profile"] == "smoke"
    assert rows()["seed"] == 3


def test_the_commit_says_whether_something_is_uncommitted(root):
    head = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert rows()["commit"] == head[:12]
    (root / "replications").mkdir()
    (root / "replications" / "a-run.json").touch()  # the last reproduction's
    assert rows()["commit"] == head[:12]
    (root / "new.py").touch()
    assert rows()["commit"] == f"{head[:12]} with uncommitted changes"


def test_a_copy_without_git_says_so(root, monkeypatch, tmp_path_factory):
    bare = tmp_path_factory.mktemp("bare")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(bare.parent))
    monkeypatch.setattr(provenance, "ROOT", bare)
    assert rows()["commit"] == "not a git checkout"
    assert rows()["lock"] == "no lock"


def test_without_git_nothing_fails(root, monkeypatch):
    monkeypatch.setenv("PATH", str(root))
    assert rows()["commit"] == "unknown (no git)"


def test_why_git_refuses_is_told(root, monkeypatch):
    """As it does in a container, for a checkout that is mounted from outside and owned by somebody else."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert rows()["commit"].startswith("unknown (detected dubious ownership in repository at")


def test_the_lock_digest_follows_the_lock(root):
    before = rows()["lock"]
    (root / "requirements.txt").write_text("nothing==2.0\n")
    assert rows()["lock"] != before


def test_the_device_is_named(root, monkeypatch):
    assert rows()["device"].startswith("CPU (")
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow("Fast GPU", "Other GPU"))
    assert rows()["device"] == "Fast GPU, Other GPU"


def test_data_that_was_fetched_is_listed(root, monkeypatch):
    assert rows()["data"] == "embedded"
    monkeypatch.setattr(data, "_used", {"ETTh1.csv": "0123456789abcdef"})
    shown = stamp(profile="full", seed=0)
    assert shown.rows["data"] == "ETTh1.csv 0123456789ab"
    assert shown.metadata["used_data"] == {"ETTh1.csv": "0123456789abcdef"}


def test_the_table_is_escaped_and_the_rows_are_metadata():
    data, metadata = Stamp({"device": "<b>"}, {"a.csv": "0"}, {"commit": "c"})._repr_mimebundle_()
    assert "<td>&lt;b&gt;</td>" in data["text/html"]
    assert data["text/plain"] == "device: <b>"
    assert metadata[KIND] == {
        "rows": {"device": "<b>"},
        "used_data": {"a.csv": "0"},
        "origin": {"commit": "c"},
    }


def test_the_machine_is_told_with_the_kernels_that_were_chosen(root, monkeypatch):
    monkeypatch.setattr(provenance, "CHOICE_OF_KERNELS", ("TF_ENABLE_ONEDNN_OPTS",))
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    assert rows()["machine"].endswith("kernels as installed")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert rows()["machine"].endswith("kernels TF_ENABLE_ONEDNN_OPTS=0")
