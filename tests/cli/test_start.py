"""The command starts light, and hands `up`, `down` and `doctor` to the supervisor."""

import subprocess
import sys
import types

import pytest
import typer

HEAVY = {"ray", "mlflow", "onnxruntime", "onnx", "sqlalchemy", "fastapi", "torch", "PIL", "uvicorn"}


@pytest.mark.parametrize("arguments", [["--help"], ["models", "--help"], ["status"]])
def test_no_heavy_library_is_imported(arguments, elsewhere):
    code = (
        "import sys\n"
        "from plaza_serving.cli.main import main\n"
        "try:\n"
        f"    main(['--control', 'http://127.0.0.1:1', *{arguments}])\n"
        "except SystemExit as end:\n"
        f"    heavy = {HEAVY} & {{name.split('.')[0] for name in sys.modules}}\n"
        "    sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr if done.returncode else "") == (0, "")


@pytest.fixture
def supervisor(monkeypatch):
    """The supervisor's module as the command line finds it, noting what it is told."""
    told = []

    def up(
        listen: str = "127.0.0.1", demo: bool = False, replicas: int = typer.Option(2, min=1)
    ) -> None:
        told.append(("up", listen, demo, replicas))

    def doctor(as_json: bool = typer.Option(False, "--json")) -> None:
        told.append(("doctor", as_json))
        raise typer.Exit(4)

    module = types.ModuleType("plaza_serving.supervisor.commands")
    module.up, module.doctor = up, doctor
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return told


def test_options_of_up_are_the_supervisors_own(run, supervisor):
    assert run("up", "--listen", "0.0.0.0", "--demo", "--replicas", "3").code == 0
    assert supervisor == [("up", "0.0.0.0", True, 3)]
    assert run("up", "--replicas", "0").code == 2
    shown = run("up", "--help")
    assert (shown.code, "--replicas" in shown.out) == (0, True)
    assert len(supervisor) == 1


def test_the_exit_code_of_doctor_is_the_commands(run, supervisor):
    assert run("doctor").code == 4


@pytest.mark.parametrize("arguments", [("doctor", "--json"), ("--json", "doctor")])
def test_doctor_answers_programs_too(run, supervisor, arguments):
    assert run(*arguments).code == 4
    assert supervisor == [("doctor", True)]


def test_help_names_every_group_and_the_exit_codes(run):
    shown = run("--help").out
    for word in ("up", "down", "doctor", "models", "orgs", "projects", "keys", "infer", "usage"):
        assert f" {word} " in shown
    assert "3 the hub" in shown


def test_a_mistyped_command(run):
    done = run("modles")
    assert done.code == 2
    assert "models" in done.err
