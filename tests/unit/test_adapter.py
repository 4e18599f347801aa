import json
from pathlib import Path

import pytest

from agentrl.config import LoraConfig, PolicyConfig
from agentrl.errors import CheckpointError
from agentrl.models.adapter import check_adapter, find_adapter, run_folder


def adapter_files(folder: Path, base: str = "x", rank: int = 4) -> Path:
    folder.mkdir(parents=True)
    content = {"base_model_name_or_path": base, "r": rank}
    (folder / "adapter_config.json").write_text(json.dumps(content))
    (folder / "adapter_model.safetensors").write_bytes(b"")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    adapter_files(tmp_path / "run" / "checkpoints" / "000002" / "adapter")
    (tmp_path / "run" / "config.yaml").write_text("name: run")
    return tmp_path / "run"


@pytest.mark.parametrize("link", [True, False])
@pytest.mark.parametrize(
    "given", ["", "latest", "checkpoints/000002", "checkpoints/000002/adapter"]
)
def test_every_way_to_name_a_checkpoint(run: Path, given: str, link: bool) -> None:
    if link:
        (run / "latest").symlink_to("checkpoints/000002")
    else:
        (run / "latest").write_text("checkpoints/000002\n")
    expected = run / "checkpoints" / "000002" / "adapter"
    assert find_adapter(run / given).resolve() == expected
    assert run_folder(run / given) == run


def test_the_configuration_may_lie_in_the_checkpoint(tmp_path: Path) -> None:
    adapter_files(tmp_path / "step" / "adapter")
    assert run_folder(tmp_path / "step") is None
    (tmp_path / "step" / "config.yaml").write_text("name: run")
    assert run_folder(tmp_path / "step") == tmp_path / "step"


def test_what_is_no_checkpoint_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found no such folder"):
        find_adapter(tmp_path / "missing")
    with pytest.raises(CheckpointError, match="found an empty folder"):
        find_adapter(tmp_path)
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(CheckpointError, match=r"found notes\.txt"):
        find_adapter(tmp_path)
    (tmp_path / "latest").write_text("gone")
    with pytest.raises(CheckpointError, match="found no such folder"):
        find_adapter(tmp_path)


def test_an_incomplete_adapter_is_no_checkpoint(tmp_path: Path) -> None:
    adapter_files(tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        find_adapter(tmp_path)


@pytest.mark.parametrize(
    ("base", "configured"),
    [("hub/small", "hub/large"), ("hub/small", "other/small"), ("/models/a", "hub/b")],
)
def test_another_model_is_refused_by_both_names(tmp_path: Path, base: str, configured: str) -> None:
    adapter = adapter_files(tmp_path / "adapter", base)
    with pytest.raises(CheckpointError) as caught:
        check_adapter(adapter, PolicyConfig(model=configured))
    assert repr(base) in str(caught.value)
    assert repr(configured) in str(caught.value)


def test_a_rank_above_the_configured_names_the_setting(tmp_path: Path) -> None:
    adapter = adapter_files(tmp_path / "adapter", "hub/small", rank=32)
    policy = PolicyConfig(model="hub/small", lora=LoraConfig(rank=16))
    with pytest.raises(CheckpointError, match=r"add policy\.lora\.rank=32"):
        check_adapter(adapter, policy)
