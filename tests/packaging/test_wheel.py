"""The wheel builds, has every file of the packages, and works where it is unpacked."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from house import PACKAGES, RunPython


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (file,) = folder.glob("agentrl-*.whl")
    return file


def test_the_wheel_has_every_file_of_the_packages(
    wheel: Path, root: Path, text_files: list[Path]
) -> None:
    relative = (file.relative_to(root) for file in text_files)
    expected = {str(path) for path in relative if path.parts[0] in PACKAGES}

    found = set(zipfile.ZipFile(wheel).namelist())

    assert expected <= found
    assert {name for name in found if name.partition("/")[0] not in PACKAGES} == {
        name for name in found if ".dist-info/" in name
    }


@pytest.mark.parametrize(
    "name",
    [
        "agentrl/py.typed",
        "environments/wordle/words/answers.txt",
        "environments/wordle/words/guesses.txt",
        "configs/deepspeed/zero0.json",
        "configs/webshop_smollm2_cpu.yaml",
    ],
)
def test_the_wheel_has_the_data_that_commands_need(wheel: Path, name: str) -> None:
    assert name in zipfile.ZipFile(wheel).namelist()


def test_the_unpacked_wheel_finds_its_own_data(
    wheel: Path, tmp_path: Path, run_python: RunPython
) -> None:
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    program = (
        "import agentrl.config, environments, gymnasium\n"
        "read = agentrl.config.read_config\n"
        "config = read(agentrl.config.RunConfig, 'wordle_smollm2_360m.yaml')\n"
        "env = gymnasium.make(config.environment.id, **config.environment.arguments)\n"
        "print(agentrl.config.__file__, env.reset(seed=0)[1]['task'])"
    )

    result = run_python(program, python_path=str(installed))

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(str(installed))
