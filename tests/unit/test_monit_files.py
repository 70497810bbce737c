"""monit files, read as far as the agent of a local VM understands them."""

import os

import pytest

from cpi_drivers.local.agent.faults import Fault
from cpi_drivers.local.agent.monit import Process, Program, processes

_FILE = """
# two processes, in the styles that releases have
check process web with pidfile "/var/vcap/sys/run/web.pid"
  start program = "/var/vcap/jobs/web/bin/ctl start 'one word'"
    as uid vcap and gid vcap with timeout 60 seconds
  stop program "/var/vcap/jobs/web/bin/ctl stop"
  if failed port 8080 for 3 cycles then restart
  if totalmem > 2 Gb then alert
  depends on db, cache
  group vcap

check process db
  with pidfile /var/vcap/sys/run/db.pid
  start program "/var/vcap/jobs/db/bin/start"
  group vcap
"""


def test_what_releases_write_is_understood() -> None:
    """Quotes, equals signs, noise words, comments, conditions that are left out."""
    web = Program(("/var/vcap/jobs/web/bin/ctl", "start", "one word"), 60, "vcap", "vcap")
    stop = Program(("/var/vcap/jobs/web/bin/ctl", "stop"))
    assert processes(_FILE, "monit") == (
        Process("web", "/var/vcap/sys/run/web.pid", web, stop, ("db", "cache")),
        Process("db", "/var/vcap/sys/run/db.pid", Program(("/var/vcap/jobs/db/bin/start",))),
    )


@pytest.mark.parametrize(
    ("words", "user", "group"),
    [
        ("as uid web and using gid staff with timeout 3 seconds", "web", "staff"),
        ('with timeout 3 seconds as uid "web" gid "staff"', "web", "staff"),
        ("as uid 1000", "1000", ""),
        ("AS UID uid AND GID gid", "uid", "gid"),
        ("as gid staff", "", "staff"),
        ("", "", ""),
    ],
)
def test_users_are_understood_in_each_spelling(words: str, user: str, group: str) -> None:
    """By name and by number."""
    (process,) = processes(f'check process x with pidfile /x start program "/bin/x as uid y" {words}', "monit")
    assert (process.start.user, process.start.group) == (user, group)
    assert process.start.command == ("/bin/x", "as", "uid", "y")


def test_what_is_left_out_is_logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each statement with its words: an operator finds what the job asked for. Without root, users too."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    processes(_FILE + "  every 2 cycles\n", "the monit file of web")
    left_out = [message.removeprefix("the monit file of web: ").partition(" is left out: ")[0] for message in caplog.messages]
    assert left_out == [
        "as uid vcap and gid vcap of start",
        "if failed port 8080 for 3 cycles then restart",
        "if totalmem > 2 Gb then alert",
        "every 2 cycles",
    ]


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n"])
def test_a_job_may_have_no_process(text: str) -> None:
    """An errand has an empty monit file."""
    assert processes(text, "monit") == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("check file x with path /x", "check file is not understood"),
        ("check process x matching 'x.*'", "found by a pattern"),
        ("check process x with pidfile /x.pid", "needs a pidfile and a start program"),
        ("check process x start program '/x'", "needs a pidfile and a start program"),
        ("set daemon 10", "stands before the first check"),
        ('check process x with pidfile "/x', "not understood"),
    ],
)
def test_what_cannot_be_supervised_is_refused(text: str, why: str) -> None:
    """With the file's name."""
    with pytest.raises(Fault, match=f"the monit file of web: .*{why}"):
        processes(text, "the monit file of web")
