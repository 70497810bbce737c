"""What a VM asks before it goes on: nobody is there to answer, so it gets the answer that the vCenter offers by default."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from cpi.contract import errors
from cpi_drivers.vsphere.api.errors import Refused

if TYPE_CHECKING:
    from cpi_drivers.vsphere.api.client import Client, Reference

_log = logging.getLogger(__name__)

PENDING: Final = "QuestionPending"
"""The fault of what has to wait for an answer."""

PATH: Final = "runtime.question"


def answer(client: "Client", vm: "Reference") -> None:
    """What a VM asks now, if it does. Raises CloudError with the question if it has no default answer."""
    settle(client, vm, client.read([vm], {type(vm): (PATH,)}).get(vm, {}))


def settle(client: "Client", vm: "Reference", seen: Mapping[str, Any]) -> None:
    """What was seen that a VM asks."""
    question = seen.get(PATH)
    if question is None:
        return
    asked, choice = " ".join(str(question.text).split()), question.choice
    default = choice.defaultIndex
    if default is None:
        offered = ", ".join(one.label for one in choice.choiceInfo)
        raise errors.CloudError(f"the VM {vm._moId} asks, and has no default answer: {asked} ({offered})")  # noqa: SLF001 - an id has no public name in the SDK
    chosen = choice.choiceInfo[default]
    _log.warning("the VM %s asks: %s It is answered by default: %s", vm._moId, asked, chosen.label)  # noqa: SLF001 - as above
    try:
        client.call(vm, "AnswerVM", questionId=question.id, answerChoice=chosen.key)
    except Refused as error:
        _log.info("the answer was not taken, it may have been given already: %s", error)
