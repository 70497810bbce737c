"""Calls that are killed half way, at any of the things they do to the machine."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from tests.drivers.local.place import Place

_PROGRAM: Final = """
import json, os, signal, sys, traceback
from cpi import AgentId, Network
from cpi.connecting import connect
from cpi_drivers.local.host import loop_devices
from cpi_drivers.local.vms import certificates, creation
from cpi_drivers.local.host.state import Database

EVENTS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "subprocess.Popen", "shutil.rmtree"}
last = seen = 0

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
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        last, call = json.loads(line)
        sys.addaudithook(watch)
        try:
            eval(call)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def killed_calls(place: Place, call: str, step: int, first: int) -> Iterator[int]:
    """Makes the call again and again, each time killed a few steps later, until it ends before it is killed.

    Yields after each kill, with its number.
    """
    command = [sys.executable, "-c", _PROGRAM, json.dumps(place.document())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdin is not None
        assert caller.stdout is not None
        last = first
        while True:
            caller.stdin.write(json.dumps([last, call]) + "\n")
            caller.stdin.flush()
            status = int(caller.stdout.readline())
            if status == 0:
                break
            assert status == -signal.SIGKILL, "the call failed, see what it wrote"
            yield last
            last += step
        caller.stdin.close()
