"""The executable as a director starts it, with nothing between a test and the bytes."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
_DEADLINE_SECONDS: Final = 60.0


class Answer(NamedTuple):
    """What an executable did with one request."""

    exit_code: int
    stdout: bytes
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The response, its envelope checked as strictly as the director does."""
        document = json.loads(self.stdout)
        assert isinstance(document, dict), f"no object: {self.stdout[:200]!r}"
        assert {"result", "error", "log"} <= document.keys(), f"keys are missing: {sorted(document)}"
        assert isinstance(document["log"], str), "log is no string"
        _check_error(document["error"])
        return document

    @property
    def result(self) -> Any:
        """The result of a call that succeeded."""
        document = self.document
        assert document["error"] is None, document["error"]
        return document["result"]

    @property
    def error(self) -> dict[str, Any]:
        """The error of a call that failed."""
        error = self.document["error"]
        assert error is not None, f"succeeded: {self.document['result']!r}"
        return dict(error)


class Wire:
    """One executable."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def send(self, request: bytes) -> Answer:
        """One process, these bytes, and the director's environment: PATH, HOME and TMPDIR only."""
        home = tempfile.gettempdir()
        done = subprocess.run(
            self._command,
            input=request,
            capture_output=True,
            env={"PATH": _PATH, "HOME": home, "TMPDIR": home},
            timeout=_DEADLINE_SECONDS,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def call(
        self, method: str, *arguments: object, api_version: int | None = 2, context: Mapping[str, Any] | None = None
    ) -> Answer:
        """One call as a director writes it."""
        request: dict[str, Any] = {
            "method": method,
            "arguments": list(arguments),
            "context": {"director_uuid": "d-suite", "request_id": "cpi-123456", **(context or {})},
        }
        if api_version is not None:
            request["api_version"] = api_version
        return self.send(json.dumps(request).encode())


def _check_error(error: object) -> None:
    if error is None:
        return
    assert isinstance(error, dict), f"the error is no object: {error!r}"
    kinds = {"type": str, "message": str, "ok_to_retry": bool}
    wrong = [key for key, kind in kinds.items() if not isinstance(error.get(key), kind)]
    assert wrong == [], f"of the error, missing or of the wrong type: {wrong}"
