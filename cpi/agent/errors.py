"""What can go wrong with an agent.

AgentError                 never raised itself: catch it to catch them all; a CloudError, so cpi.Error catches it too
├── AgentUnreachable       nobody answers at its address, or not as an agent
├── AgentTimeout           it took the message and did not answer, or did not finish, in time
├── AgentTaskFailed        it answered that it could not do it
└── AgentUnknownMessage    it is too old, or too new, to know the message
"""

from cpi.contract import errors


class AgentError(errors.CloudError):
    """Whatever a call to an agent raises."""


class AgentUnreachable(AgentError):
    """Nothing answers at the agent's address, or not as an agent."""


class AgentTimeout(AgentError):
    """The agent did not answer, or did not finish, in time: whether it acted is not known."""


class AgentTaskFailed(AgentError):
    """The agent says that it could not do what it was asked."""


class AgentUnknownMessage(AgentError):
    """The agent does not know the message."""
