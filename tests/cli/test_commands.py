"""The commands as people start them."""

import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command

_TRACEBACK = "Traceback"
_COMMANDS = ("demo", "call", "drivers", "doctor", "conformance", "agent-settings", "rpc")


@pytest.fixture
def vm_cid(cpi: Command, config: Path) -> Iterator[str]:
    """A VM whose env holds a secret."""
    image = config.with_name("stemcell.tgz")
    with tarfile.open(image, "w:gz") as archive:
        archive.add(config, "etc/some-file")
    stemcell_cid = json.loads(cpi("call", "create_stemcell", image, "{}", "{}", "--config", config).stdout)
    networks = json.dumps({"default": {"type": "dynamic"}})
    env = json.dumps({"bosh": {"password": "not-to-be-seen", "group": "to-be-seen"}})
    words = ["agent_id=agent-7", f"stemcell_cid={stemcell_cid}", "cloud_properties={}", f"networks={networks}", f"env={env}"]
    cid, _ = json.loads(cpi("call", "create_vm", *words, "--config", config).stdout)
    yield cid
    cpi("call", "delete_vm", cid, "--config", config)


def test_version(cold_cpi: Command) -> None:
    """The name and the number."""
    assert re.fullmatch(r"cpi \d+\.\d+\.\d+\n", cold_cpi("--version").stdout)


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_explains_itself(cold_cpi: Command, command: str) -> None:
    """--help says what it does."""
    assert cold_cpi(command, "--help").returncode == 0


def test_no_command_pays_for_what_only_some_need() -> None:
    """What takes long to import comes when it is used."""
    look = (
        "import sys, cpi.cli.app; print(*sorted({'dbos', 'httpx', 'nats', 'psycopg', 'pytest', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_every_command_is_in_the_list(cpi: Command) -> None:
    """Of `cpi --help`."""
    told = cpi("--help").stdout
    assert [command for command in _COMMANDS if command not in told] == []


def test_a_result_goes_to_stdout_as_json(cold_cpi: Command, config: Path) -> None:
    """So that it can be piped on."""
    done = cold_cpi("call", "create_disk", "size=8", "cloud_properties={}", "--config", config)
    assert done.returncode == 0, done.stderr
    assert cold_cpi("call", "has_disk", json.loads(done.stdout), CPI_CONFIG=str(config)).stdout == "true\n"


def test_the_log_is_shown_when_asked_for(cpi: Command, config: Path) -> None:
    """Else stderr has what went wrong and nothing more."""
    words = ("call", "create_disk", "8", "{}", "--config", config)
    assert cpi(*words).stderr == ""
    assert "create_disk took" in cpi(*words, "-v").stderr


def test_an_error_is_told_without_a_trace(cold_cpi: Command, config: Path) -> None:
    """Its name and message on stderr, nothing on stdout, exit status 1."""
    done = cold_cpi("call", "detach_disk", "no-vm", "no-disk", "--config", config)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(r"NotFound.*no-", done.stderr)
    assert _TRACEBACK not in done.stderr


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "does not exist"),
        ("{", "is not JSON"),
        ("[]", "expected an object"),
        ('{"cloud": {}}', "cloud.plugin: expected the name of a driver"),
        ('{"cloud": {"plugin": "nimbus"}}', "unknown driver 'nimbus'; known drivers: .*local"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ("doctor",),
        pytest.param(("call", "ping"), marks=pytest.mark.slow),
        pytest.param(("agent-settings", "vm"), marks=pytest.mark.slow),
    ],
)
def test_a_bad_configuration_is_told(
    cpi: Command, tmp_path: Path, command: tuple[str, ...], content: str | None, told: str
) -> None:
    """By every command alike."""
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    done = cpi(*command, "--config", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(told, done.stderr)
    assert _TRACEBACK not in done.stderr


def test_the_doctor_names_all_faults_of_a_configuration(cpi: Command, tmp_path: Path) -> None:
    """Not only the first."""
    path = tmp_path / "cpi.json"
    properties = {"local": {"disk_backing": "tape", "rooot": "/somewhere"}, "ntp": "pool", "agent": {"mbus": 5}}
    path.write_text(json.dumps({"cloud": {"plugin": "local", "properties": properties}}), encoding="utf-8")
    done = cpi("doctor", "--config", path)
    assert done.returncode == 1
    for fault in (".root: is missing", ".disk_backing", ".rooot: unknown key; did you mean 'root'?", ".ntp", ".agent.mbus"):
        assert done.stderr.count(f"cloud.properties{'.local' if fault not in {'.ntp', '.agent.mbus'} else ''}{fault}") == 1


def test_the_doctor_finds_a_sound_cloud_good(cold_cpi: Command, config: Path) -> None:
    """And makes nothing in it."""
    done = cold_cpi("doctor", "--config", config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "good" in done.stdout
    assert "fault" not in done.stdout.replace("no faults", "")


def test_the_doctor_says_what_a_driver_can_not_look_at(cpi: Command, config: Path) -> None:
    """A warning, no fault: the local cloud's stemcells name nothing."""
    done = cpi("doctor", "--config", config, "--stemcell", '{"image_url": "x"}', "--vm-type", "{}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cannot check stemcells" in " ".join(done.stdout.split())
    assert "cannot check VM types" in " ".join(done.stdout.split())


def test_the_doctor_looks_at_the_file_of_the_cpi_whose_place_it_takes(cpi: Command, tmp_path: Path) -> None:
    """What would be otherwise, and every fault, beside each other."""
    path = tmp_path / "cpi.json"
    block = {"region": "eu", "access_key_id": "k", "colour": "red", "shape": "round"}
    properties = {"aws": block, "registry": {"endpoint": "http://registry"}}
    path.write_text(json.dumps({"cloud": {"plugin": "aws", "properties": properties}}), encoding="utf-8")
    done = cpi("doctor", "--switch", path)
    assert done.returncode == 1, done.stderr
    told = " ".join(done.stdout.split())
    assert "Stemcells of API version 1 are refused" in told
    assert "The registry means nothing" in told
    assert "colour: unknown key" in told
    assert "shape: unknown key" in told


def test_the_doctor_wants_one_file(cpi: Command) -> None:
    """The configuration, or the one of the CPI whose place is taken."""
    done = cpi("doctor", CPI_CONFIG="")
    assert done.returncode == 2
    assert "--switch" in done.stderr


def test_the_drivers_are_shown(cold_cpi: Command) -> None:
    """With what each can."""
    done = cold_cpi("drivers")
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("local"))
    assert "resize_disk" in row
    assert row.rstrip().endswith("loads")


def test_agent_settings_are_shown_without_secrets(cold_cpi: Command, config: Path, vm_cid: str) -> None:
    """Neither what came in env, nor what the cloud added."""
    done = cold_cpi("agent-settings", vm_cid, "--config", config)
    settings = json.loads(done.stdout)
    assert settings["agent_id"] == "agent-7"
    assert settings["env"]["bosh"]["group"] == "to-be-seen"
    assert "not-to-be-seen" not in done.stdout
    assert "PRIVATE KEY" not in done.stdout


def test_agent_settings_of_no_vm(cpi: Command, config: Path) -> None:
    """The VM is named."""
    done = cpi("agent-settings", "no-such-vm", "--config", config)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no-such-vm" in done.stderr
    assert _TRACEBACK not in done.stderr


def test_a_wrong_command_line_ends_with_2(cpi: Command) -> None:
    """As people are used to."""
    assert cpi("no-such-command").returncode == 2
    assert cpi("call", "ping", "--no-such-option").returncode == 2


def test_the_commands_are_listed_in_panels(cpi: Command) -> None:
    """By what they are about."""
    listed = re.findall(r"^╭─ (.*?) ─+╮$", cpi("--help").stdout, re.MULTILINE)
    assert listed == ["Options", "CPI", "Disks", "Instances", "Checks"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_without_a_terminal(cold_cpi: Command, shell: str) -> None:
    """zsh asks with no terminal as stdin, where plain `cpi` serves a request otherwise."""
    words = {"COMP_WORDS": "cpi migr", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "cpi migr"}
    done = cold_cpi(_CPI_COMPLETE=f"complete_{shell}", _TYPER_COMPLETE_FISH_ACTION="get-args", **words)
    assert "migrations" in done.stdout, done.stderr
    assert "error" not in done.stdout
