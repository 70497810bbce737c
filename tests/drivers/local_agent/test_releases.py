"""What `bosh create-env` and a director have an agent do for releases: blobs, packages, rendered templates, real jobs."""

import base64
import contextlib
import functools
import hashlib
import http.server
import io
import json
import os
import signal
import ssl
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixtures.certificates import Authority
from tests.drivers.local_agent.conftest import MakeVm
from tests.drivers.local_agent.releases import put, sha1, spec_of, tarball
from tests.drivers.local_agent.vm import AgentSaysNoError, Vm, eventually, lives

ROOT = Path(__file__).parents[3]
_CTL = """#!/bin/bash
set -e
pidfile=/var/vcap/sys/run/web/web.pid
case $1 in
  start)
    mkdir -p /var/vcap/store/web
    nohup /var/vcap/packages/greeter/bin/greet >/var/vcap/sys/log/web/out.log 2>&1 &
    echo $! >$pidfile ;;
  stop) echo stopped >>/var/vcap/sys/log/web/ctl.log; kill $(cat $pidfile) ;;
esac
"""
_MONIT = """
# the whole of it
check process web
  with pidfile /var/vcap/sys/run/web/web.pid
  start program "/var/vcap/jobs/web/bin/ctl start" with timeout 50 seconds
  stop program "/var/vcap/jobs/web/bin/ctl stop"
  if totalmem > 1 GB for 3 cycles then restart
  group vcap
"""
_PACKAGING = """set -e
mkdir -p ${BOSH_INSTALL_TARGET}/bin
(echo '#!/bin/bash'; cat words; echo 'exec sleep 86400') >${BOSH_INSTALL_TARGET}/bin/greet
chmod +x ${BOSH_INSTALL_TARGET}/bin/greet
"""


def _compiled(vm: Vm) -> dict[str, str]:
    """The greeter, compiled in the VM: as an apply spec names it."""
    source = tarball({"packaging": _PACKAGING, "words": "echo hello\n"})
    put(vm, "source-1", source)
    result = vm.done("compile_package", "source-1", sha1(source), "greeter", "1", {})["result"]
    return {"name": "greeter", "version": "1.1", "sha1": result["sha1"], "blobstore_id": result["blobstore_id"]}


def test_blobs_are_kept_for_those_who_know_the_password(vm: Vm) -> None:
    """Whatever folder stands before the id; what is no id is not found."""
    put(vm, "blob-1", b"content" * 100_000)
    there = vm.url.replace("/agent", "/blobs/blob-1")
    assert vm.http.get(there).content == b"content" * 100_000
    assert vm.http.get(there, auth=("vcap", "wrong")).status_code == 401
    assert vm.http.put(there, content=b"x", auth=("vcap", "wrong")).status_code == 401
    assert vm.http.get(vm.url.replace("/agent", "/blobs/blob-2")).status_code == 404
    assert vm.http.get(vm.url.replace("/agent", "/blobs/..")).status_code == 404
    assert vm.http.delete(there).status_code == 405


def test_what_is_not_there_is_not_applied(vm: Vm) -> None:
    """An agent that answered "applied" would say "running" for nothing."""
    templates = {"sha1": "0" * 40, "blobstore_id": "nothing-here"}
    with pytest.raises(AgentSaysNoError, match="there is no blob nothing-here"):
        vm.done("apply", {"job": {"templates": [{"name": "web"}]}, "rendered_templates_archive": templates})
    with pytest.raises(AgentSaysNoError, match="no rendered_templates_archive"):
        vm.done("apply", {"job": {"templates": [{"name": "web"}]}})
    with pytest.raises(AgentSaysNoError, match="package p: there is no blob gone"):
        vm.done("apply", {"packages": {"p": {"sha1": "0" * 40, "blobstore_id": "gone"}}})
    spec = spec_of(vm, {"other/bin/run": ""})
    with pytest.raises(AgentSaysNoError, match="hold no web"):
        vm.done("apply", spec)
    spec["rendered_templates_archive"]["sha1"] = "0" * 40
    with pytest.raises(AgentSaysNoError, match="its sha1 is"):
        vm.done("prepare", {"packages": {"p": {"sha1": "0" * 40, "blobstore_id": "templates-1"}}})
    assert vm.call("get_state")["packages"] == {}


def test_a_package_is_compiled_with_those_it_needs(vm: Vm) -> None:
    """They are at their places while its script runs; the answer names what can be installed elsewhere."""
    needed = _compiled(vm)
    source = tarball({"packaging": "cp -L ${BOSH_ROOT}/var/vcap/packages/greeter/bin/greet ${BOSH_INSTALL_TARGET}/copy\n"})
    put(vm, "source-2", source)
    result = vm.done("compile_package", "source-2", sha1(source), "copier", "7", {"greeter": needed})["result"]
    stored = vm.http.get(vm.url.replace("/agent", f"/blobs/{result['blobstore_id']}")).content
    assert sha1(stored) == result["sha1"]
    with tarfile.open(fileobj=io.BytesIO(stored)) as archive:
        assert "./copy" in archive.getnames()


def test_a_package_that_does_not_compile_says_why(vm: Vm) -> None:
    """With the last words of its script, and nothing of it stays."""
    source = tarball({"packaging": "echo the compiler is missing; exit 3\n"})
    put(vm, "source-1", source)
    with pytest.raises(AgentSaysNoError, match=r"Compiling package broken.*status 3") as raised:
        vm.done("compile_package", "source-1", sha1(source), "broken", "1", {})
    assert "the compiler is missing" in str(raised.value)
    assert list((vm.path / "scratch").iterdir()) == []


@pytest.mark.root
def test_a_job_of_a_release_runs_with_its_package_and_its_disk(make_vm: MakeVm) -> None:
    """From its monit file: started, restarted when it dies, stopped by its own program; /var/vcap is the VM's there."""
    vm = make_vm()
    (vm.path / "launch.json").write_text(json.dumps({"isolate_mounts": True}))
    vm.start()
    package = _compiled(vm)
    spec = spec_of(vm, {"web/bin/ctl": _CTL, "web/monit": _MONIT}, packages={"greeter": package})
    assert vm.done("prepare", spec) == "prepared"
    assert vm.done("apply", spec) == "applied"
    assert vm.call("get_state")["job_state"] == "stopped"
    assert vm.call("start") == "started"
    vm.wait_for_job_state("running")
    pidfile, said = vm.root / "var/vcap/sys/run/web/web.pid", vm.root / "var/vcap/sys/log/web/out.log"
    eventually(lambda: said.exists() and said.read_text() == "hello\n", lambda: f"{said.read_text()} {vm.log()}")
    assert (vm.root / "var/vcap/jobs/web/packages/greeter/bin/greet").exists()
    first = int(pidfile.read_text())
    os.kill(first, signal.SIGKILL)
    eventually(lambda: pidfile.read_text().strip() not in {"", str(first)}, lambda: f"it stays dead: {vm.log()}")
    vm.wait_for_job_state("running")
    assert vm.done("stop") == "stopped"
    assert "stopped" in (vm.root / "var/vcap/sys/log/web/ctl.log").read_text()
    second = int(pidfile.read_text())
    assert not (psutil.pid_exists(second) and lives(psutil.Process(second)))
    assert vm.done("apply", {"deployment": "small", "job": {}, "packages": {}}) == "applied"


@pytest.mark.root
def test_the_hosts_own_var_vcap_is_as_before(make_vm: MakeVm) -> None:
    """What a VM shows there is seen in the VM alone."""
    vm = make_vm()
    (vm.path / "launch.json").write_text(json.dumps({"isolate_mounts": True}))
    vm.start()
    assert not Path("/var/vcap/jobs").is_symlink()


@pytest.mark.root
def test_what_the_real_command_line_said_is_answered_as_it_accepted(make_vm: MakeVm) -> None:
    """`bosh create-env` on record: every message again, with the ids that this agent gives instead of those on record."""
    vm = make_vm()
    (vm.path / "launch.json").write_text(json.dumps({"isolate_mounts": True}))
    vm.start()
    given: dict[str, str] = {}
    for line in (ROOT / "fixtures/agent/bosh-cli-https.jsonl").read_text().splitlines():
        exchange = json.loads(functools.reduce(lambda text, pair: text.replace(*pair), given.items(), line))
        if "path" in exchange:
            content = base64.b64decode(exchange["content"])
            assert vm.http.put(vm.url.replace("/agent", exchange["path"]), content=content).status_code == exchange["status"]
            continue
        method, wanted = exchange["request"]["method"], exchange["response"]["value"]
        if method == "get_state":
            vm.wait_for_job_state(wanted["job_state"])
            assert set(wanted) <= set(vm.call("get_state")) | {"processes"}
            continue
        value = vm.call(method, *exchange["request"]["arguments"])
        if isinstance(value, dict) and "agent_task_id" in value:
            value = vm.result(value)
        if method == "compile_package":
            given |= {wanted["result"][key]: value["result"][key] for key in ("sha1", "blobstore_id")}
            wanted = value
        assert value == wanted, method


def test_without_mounts_of_its_own_a_vm_refuses_jobs_under_var_vcap(vm: Vm) -> None:
    """They would run, or fail, in the host's folders."""
    spec = spec_of(vm, {"web/bin/ctl": _CTL, "web/monit": _MONIT})
    with pytest.raises(AgentSaysNoError, match="not this VM's"):
        vm.done("apply", spec)


def test_an_errand_says_what_it_said_and_how_it_ended(vm: Vm) -> None:
    """Its exit status is an answer, no fault."""
    spec = spec_of(vm, {"web/bin/run": "#!/bin/bash\necho done; echo but >&2; exit 4\n", "web/monit": ""})
    assert vm.done("apply", spec) == "applied"
    assert vm.done("run_errand") == {"stdout": "done\n", "stderr": "but\n", "exit_code": 4}
    assert vm.done("run_errand", "web")["exit_code"] == 4
    with pytest.raises(AgentSaysNoError, match="there is no job 'other'"):
        vm.done("run_errand", "other")


def test_logs_are_packed_as_they_are_asked_for(vm: Vm) -> None:
    """Of jobs by patterns, of the agent; a bundle is removed, and nothing else."""
    logs = vm.root / "var/vcap/sys/log/web"
    logs.mkdir(parents=True)
    (logs / "web.log").write_text("a line\n")
    (logs / "trace.txt").write_text("a trace\n")

    def names(content: bytes) -> list[str]:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            return sorted(archive.getnames())

    fetched = vm.done("fetch_logs", "job", [])
    content = vm.http.get(vm.url.replace("/agent", f"/blobs/{fetched['blobstore_id']}")).content
    assert (names(content), sha1(content)) == (["web/web.log"], fetched["sha1"])
    fetched = vm.done("fetch_logs", "job", ["web/*"])
    assert names(vm.http.get(vm.url.replace("/agent", f"/blobs/{fetched['blobstore_id']}")).content) == [
        "web/trace.txt",
        "web/web.log",
    ]
    bundle = vm.done("bundle_logs", {"owning_user": "vcap", "log_type": "agent", "filters": []})
    path = Path(bundle["logs_tar_path"])
    assert names(path.read_bytes()) == ["agent.log"]
    assert hashlib.sha512(path.read_bytes()).hexdigest() == bundle["sha512"]
    with pytest.raises(AgentSaysNoError, match="nothing else is removed"):
        vm.call("remove_file", str(vm.path / "settings.json"))
    assert vm.call("remove_file", str(path)) == "removed"
    assert not path.exists()


def test_a_blob_comes_with_a_message(vm: Vm) -> None:
    """A director sends what must not lie in a blobstore."""
    payload = b"secret templates"
    message = {"blob_id": "sent-1", "checksum": sha1(payload), "payload": base64.b64encode(payload).decode()}
    assert vm.done("upload_blob", message) == "sent-1"
    assert vm.http.get(vm.url.replace("/agent", "/blobs/sent-1")).content == payload
    with pytest.raises(AgentSaysNoError, match="expected 00"):
        vm.done("upload_blob", {**message, "checksum": "00"})


def test_the_addresses_of_others_are_kept_if_they_are_newer(vm: Vm) -> None:
    """sync_dns comes in any order."""

    def records(version: int) -> bytes:
        return json.dumps({"version": version, "records": [["10.0.0.1", f"host-{version}"]]}).encode()

    file = vm.root / "var/vcap/instance/dns/records.json"
    for sent, kept in ((2, 2), (1, 2), (3, 3)):
        put(vm, f"dns-{sent}", records(sent))
        assert vm.call("sync_dns", f"dns-{sent}", sha1(records(sent)), sent) == "synced"
        assert json.loads(file.read_bytes())["version"] == kept
    with pytest.raises(AgentSaysNoError, match="not of version 9"):
        vm.call("sync_dns", "dns-3", sha1(records(3)), 9)


class _Store(http.server.BaseHTTPRequestHandler):
    """A blobstore by signed URLs, and by user and password."""

    content: dict[str, bytes]
    asked: list[tuple[str, str, str]]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.asked.append(("GET", self.path, self.headers.get("authorization") or self.headers.get("x-mine") or ""))
        self.send_response(200 if path in self.content else 404)
        self.end_headers()
        self.wfile.write(self.content.get(path, b""))

    def do_PUT(self) -> None:
        self.asked.append(("PUT", self.path, self.headers.get("authorization") or self.headers.get("x-mine") or ""))
        self.content[self.path.partition("?")[0]] = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(201)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has
        """Not told."""


@contextlib.contextmanager
def _serving(tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, type[_Store]]]:
    handler = type("Store", (_Store,), {"content": {}, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def store() -> Iterator[tuple[str, type[_Store]]]:
    """Its URL, and what it holds."""
    with _serving() as serving:
        yield serving


def test_signed_urls_bring_and_take_everything(vm: Vm, store: tuple[str, type[_Store]]) -> None:
    """A package is compiled from one to another, with the headers that go with them; logs and records likewise."""
    url, blobs = store
    source = tarball({"packaging": _PACKAGING, "words": "echo hello\n"})
    blobs.content["/source"] = source
    request = {
        "package_get_signed_url": f"{url}/source?signature=s3cret",
        "upload_signed_url": f"{url}/compiled?signature=s3cret",
        "blobstore_headers": {"x-mine": "yes"},
        "digest": f"sha256:{hashlib.sha256(source).hexdigest()}",
        "name": "greeter",
        "version": "1",
        "deps": {},
    }
    compiled = vm.done("compile_package_with_signed_url", request)["result"]
    assert compiled == {"sha1": sha1(blobs.content["/compiled"])}
    assert [(verb, header) for verb, _, header in blobs.asked] == [("GET", "yes"), ("PUT", "yes")]
    logs = vm.done("fetch_logs_with_signed_url", {"signed_url": f"{url}/logs?s=1", "log_type": "agent", "filters": []})
    assert logs == {"sha1": sha1(blobs.content["/logs"])}
    with pytest.raises(AgentSaysNoError, match="/missing answered 404") as raised:
        vm.done("compile_package_with_signed_url", {**request, "package_get_signed_url": f"{url}/missing?signature=s3cret"})
    assert "s3cret" not in str(raised.value)


def test_the_blobstore_of_the_settings_is_used(make_vm: MakeVm, store: tuple[str, type[_Store]]) -> None:
    """dav with user and password, in the folders of its ids."""
    url, blobs = store
    vm = make_vm()
    settings = json.loads((vm.path / "settings.json").read_text())
    settings["blobstore"] = {"provider": "dav", "options": {"endpoint": url, "user": "agent", "password": "pw"}}
    (vm.path / "settings.json").write_text(json.dumps(settings))
    vm.start()
    source = tarball({"packaging": _PACKAGING, "words": ""})
    folder = sha1(b"source-1")[:2]
    blobs.content[f"/{folder}/source-1"] = source
    result = vm.done("compile_package", "source-1", sha1(source), "greeter", "1", {})["result"]
    stored = f"/{sha1(result['blobstore_id'].encode())[:2]}/{result['blobstore_id']}"
    assert sha1(blobs.content[stored]) == result["sha1"]
    login = f"Basic {base64.b64encode(b'agent:pw').decode()}"
    assert {header for _, _, header in blobs.asked} == {login}


def test_a_signed_url_is_checked_with_the_blobstores_ca_and_the_systems(make_vm: MakeVm, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may lead to the blobstore or to a host that the system knows, and to no other; the blobstore's login goes to neither.
    The blobstore itself is checked with its own CA alone.
    """
    of_blobstore, of_system, unknown = (Authority(name=name) for name in ("blobstore", "system", "unknown"))
    vm = make_vm()
    bundle = vm.path / "system.pem"
    bundle.write_text(of_system.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    records = b'{"version": 1}'
    with contextlib.ExitStack() as stack:
        served = [stack.enter_context(_serving(one.server_context())) for one in (of_blobstore, of_system, unknown)]
        for _, blobs in served:
            blobs.content |= {f"/{sha1(b'dns-1')[:2]}/dns-1": records, "/signed": records}
        (own, _), (other, _), (stranger, _) = served
        settings = json.loads((vm.path / "settings.json").read_text())
        options = {"endpoint": other, "user": "agent", "password": "pw", "tls": {"cert": {"ca": of_blobstore.certificate}}}
        settings["blobstore"] = {"provider": "dav", "options": options}
        (vm.path / "settings.json").write_text(json.dumps(settings))
        vm.start()
        asked = {"multi_digest": sha1(records), "version": 1}
        with pytest.raises(AgentSaysNoError, match="CERTIFICATE_VERIFY_FAILED"):
            vm.call("sync_dns_with_signed_url", {**asked, "signed_url": f"{stranger}/signed"})
        with pytest.raises(AgentSaysNoError, match="CERTIFICATE_VERIFY_FAILED"):
            vm.call("sync_dns", "dns-1", sha1(records), 1)
        for url in (own, other):
            (vm.root / "var/vcap/instance/dns/records.json").unlink(missing_ok=True)
            assert vm.call("sync_dns_with_signed_url", {**asked, "signed_url": f"{url}/signed"}) == "synced"
        assert [blobs.asked for _, blobs in served] == [[("GET", "/signed", "")], [("GET", "/signed", "")], []]
