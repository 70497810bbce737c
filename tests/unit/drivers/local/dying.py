"""Calls that are killed half way, at any of the things they do to the machine."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from tests.unit.drivers.local.place import Place

_PROGRAM: Final = """
import json, os, signal, sys
from cpi.connecting import connect
from cpi import AgentId, Network
from drivers.local.state import Database

EVENTS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "subprocess.Popen", "shutil.rmtree"}
last, seen = int(sys.argv[2]), 0

def count():
    global seen
    seen += 1
    if seen == last:
        os.kill(os.getpid(), signal.SIGKILL)

def watch(event, arguments):
    if event in EVENTS or (event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT):
        count()

def execute(self, statement, *values, execute=Database.execute):
    if statement == "COMMIT":
        count()
        execute(self, statement, *values)
        return count()
    return execute(self, statement, *values)

Database.execute = execute
cloud = connect(json.loads(sys.argv[1]))
sys.addaudithook(watch)
eval(sys.argv[3])
"""


def killed_calls(place: Place, call: str, step: int, first: int) -> Iterator[int]:
    """Makes the call again and again, each time killed a few steps later, until it ends before it is killed.

    Yields after each kill, with its number.
    """
    last = first
    while True:
        command = [sys.executable, "-c", _PROGRAM, json.dumps(place.document()), str(last), call]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode == 0:
            return
        assert done.returncode == -signal.SIGKILL, done.stderr
        yield last
        last += step
