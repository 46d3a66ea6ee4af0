import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lsst.ts import mtmount
from lsst.ts.mtmount.commands.adopt import LAUNCHER, AdoptionError, main, make_program_folder
from lsst.ts.mtmount.program.client_arguments import FILE_OPTIONS, FILE_VARIABLES, make_parser

from ..decoys import BETRAYAL, make_decoy
from ..tma_interface.configuration import SMALL_FILE

PROGRAM = "run_mtmount_telemetry_client"
PACKAGE = Path(mtmount.__file__ or "").parent


def run(program: Path | str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("kind", ["namespace", "regular"])
def test_the_folder_on_the_path_runs_our_client(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "made" / "program"
    description = make_program_folder(folder)
    assert f"package: {PACKAGE}\n" in description
    assert [path.name for path in folder.iterdir()] == [PROGRAM]
    decoy = make_decoy(tmp_path / "decoy", kind)
    # As the CSC finds it: by name, on the PATH, with the environment that it has itself.
    result = subprocess.run(
        [PROGRAM, "--which"],
        env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(decoy)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert f"package: {PACKAGE}\n" in result.stdout
    assert "of the decoy" in result.stdout
    assert BETRAYAL not in result.stdout + result.stderr
    assert run(folder / PROGRAM, "--port=1").returncode == 2


def test_other_programs_are_not_shadowed(tmp_path: Path) -> None:
    (tmp_path / "python3").write_text("")
    with pytest.raises(AdoptionError, match=r"also holds python3: on the PATH, that would shadow"):
        make_program_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["python3"]


def test_a_program_of_the_same_name_is_left_as_it_is(tmp_path: Path) -> None:
    program = tmp_path / PROGRAM
    program.write_text("#!/bin/sh\n")
    with pytest.raises(AdoptionError, match="it is left as it is"):
        make_program_folder(tmp_path)
    assert program.read_text() == "#!/bin/sh\n"


def test_an_earlier_version_is_replaced_by_one_that_runs(tmp_path: Path) -> None:
    make_program_folder(tmp_path)
    program = tmp_path / PROGRAM
    earlier = program.read_text() + "# earlier\n"
    program.write_text(earlier)
    with pytest.raises(AdoptionError, match="unrecognized arguments: --no-such-option"):
        make_program_folder(tmp_path, ["--no-such-option"])
    with pytest.raises(AdoptionError, match="cannot be used"):
        make_program_folder(tmp_path, python="/no/such/python")
    assert program.read_text() == earlier
    assert [path.name for path in tmp_path.iterdir()] == [PROGRAM]
    make_program_folder(tmp_path)
    assert "# earlier" not in program.read_text()
    assert [path.name for path in tmp_path.iterdir()] == [PROGRAM]
    assert run(program, "--which").returncode == 0


@pytest.mark.parametrize("name", ["with a space", "a user's", "long" * 40])
def test_python_may_be_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    python = tmp_path / name / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    description = make_program_folder(tmp_path / "program", python=str(python))
    assert f"package: {PACKAGE}\n" in description
    program = tmp_path / "program" / PROGRAM
    assert run(program, "--which").stdout == description
    assert run(program).returncode == 2


def test_a_refusal_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(AdoptionError, match="unrecognized arguments: --no-such-option"):
        make_program_folder(tmp_path / "new", ["--no-such-option"])
    assert not (tmp_path / "new").exists()


def test_the_installation_must_be_whole(tmp_path: Path) -> None:
    with pytest.raises(AdoptionError, match="not installed as a whole"):
        make_program_folder(tmp_path / "program", launcher=tmp_path / LAUNCHER.name)
    assert not (tmp_path / "program").exists()


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["adopt_mtmount_telemetry_client", "program"])
    assert main() == 0
    out = capsys.readouterr().out
    assert f"package: {PACKAGE}\n" in out
    assert f"PATH={tmp_path / 'program'}:$PATH" in out
    assert "SAL backend: builtin (" in out
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--sal-backend=builtin"])
    assert main() == 0
    assert "SAL backend: builtin\n" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--no-such-option"])
    assert main() == 1
    assert "unrecognized arguments: --no-such-option" in capsys.readouterr().err
    (tmp_path / "program" / "other").write_text("")
    assert main() == 1
    assert "also holds other" in capsys.readouterr().err


def test_command_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "argv", ["adopt_mtmount_telemetry_client", str(tmp_path / "file")])
    with pytest.raises(SystemExit) as raised:
        main()
    assert raised.value.code == 2
    assert f"argument DIR: {tmp_path / 'file'}: expected a folder, got a file" in capsys.readouterr().err


def test_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    make_program_folder(tmp_path / "elsewhere")
    program = tmp_path / "folder" / PROGRAM
    program.parent.mkdir()
    program.symlink_to(tmp_path / "elsewhere" / PROGRAM)
    make_program_folder(program.parent, ["--sal-backend=builtin"])
    assert program.is_symlink()
    assert "--sal-backend=builtin" in (tmp_path / "elsewhere" / PROGRAM).read_text()


def test_command_without_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["adopt_mtmount_telemetry_client"])
    with pytest.raises(SystemExit) as raised:
        main()
    assert raised.value.code == 2


@pytest.mark.parametrize(
    "form", ["--tma-interface=small.ini", "--tma=small.ini", "--tma-interface small.ini"]
)
def test_paths_of_options_are_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    (tmp_path / "small.ini").write_bytes(SMALL_FILE.read_bytes())
    monkeypatch.chdir(tmp_path)
    make_program_folder(tmp_path / "program", [*form.split(), "--report", "report.json", "--loglevel=20"])
    text = (tmp_path / "program" / PROGRAM).read_text()
    assert f"{tmp_path}/small.ini" in text
    assert f"'--report', '{tmp_path}/report.json', '--loglevel=20'" in text
    # As the CSC may start it.
    monkeypatch.chdir("/")
    result = run(tmp_path / "program" / PROGRAM, "--host=127.0.0.1", "--which")
    assert result.returncode == 0, result.stderr


def test_no_option_for_a_file_is_forgotten() -> None:
    options = re.findall(r"(--[a-z-]+) (?:FILE|FOLDER)\b", make_parser().format_help())
    assert sorted(set(options)) == list(FILE_OPTIONS)


@pytest.mark.parametrize("variable", FILE_VARIABLES)
def test_relative_paths_of_variables_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "small.ini")
    with pytest.raises(
        AdoptionError, match=rf"expected an absolute path in {variable}, .*, got 'small\.ini'"
    ):
        make_program_folder(tmp_path / "program")
    assert not (tmp_path / "program").exists()
    for value in (str(tmp_path / "small.ini"), ""):
        monkeypatch.setenv(variable, value)
        make_program_folder(tmp_path / "program")


def test_no_variable_for_a_file_is_forgotten() -> None:
    document = Path(__file__).parents[2] / "doc" / "reference" / "environment.md"
    rows = re.findall(r"\| `(\w+)` \|.*\| (.*) \|", document.read_text(encoding="utf-8"))
    found = [name for name, meaning in rows if re.search(r"\b(file|folder)\b|tma-interface", meaning)]
    assert sorted(found) == sorted(FILE_VARIABLES)


def test_a_bad_file_is_told_without_the_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["adopt_mtmount_telemetry_client", "program", "--tma-interface=none.ini"]
    )
    assert main() == 1
    assert capsys.readouterr().err == (
        "adopt_mtmount_telemetry_client: failed: the program would not run: "
        f"argument --tma-interface: {tmp_path / 'none.ini'}: No such file or directory\n"
    )
