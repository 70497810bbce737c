"""Types that several threads use for the first time at once, as the workers of a fleet and a director do.

In a process of its own, which a fault would end.
"""

import subprocess
import sys

_MANY_TYPES = """
import sys, threading
from typing import Literal, Union
import msgspec
from cpi.contract.encoding import from_json, from_plain

sys.setswitchinterval(1e-6)
for number in range(100):
    inner = msgspec.defstruct(f"Inner{number}", [(f"f{key}", Union[int, str], key) for key in range(10)])
    fields = [(f"a{key}", "Union[int, str, None]" if key % 2 else Literal[key, "x"], None) for key in range(20)]
    outer = msgspec.defstruct(f"Outer{number}", [*fields, ("inner", inner, None)], namespace={"__module__": __name__})
    begin = threading.Barrier(4)

    def read(outer, begin, answers):
        begin.wait()
        answers.append(from_plain({"inner": {"f1": 3}, "a19": 3}, outer))
        answers.append(from_json('{"inner": {"f1": 3}, "a19": 3}', outer))

    answers = []
    threads = [threading.Thread(target=read, args=(outer, begin, answers)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(answer.inner.f1, answer.a19) for answer in answers] == [(3, 3)] * 8, answers
print("well")
"""


def test_a_type_may_be_used_first_by_several_threads_at_once() -> None:
    """msgspec alone ends such a process by a segmentation fault."""
    done = subprocess.run([sys.executable, "-c", _MANY_TYPES], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr
