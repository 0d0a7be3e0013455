"""The real tools of a task: language model, painter and publisher, each call a remembered step on the one path to the outside.

Here: what ties tasks/clients.py (what a task may ask for) to resources/ (how it is done). Not here: order, attempts and results of
tasks (journal.py).
"""

from __future__ import annotations

from generia_assets.durable.calls.image_client import TaskImageClient
from generia_assets.durable.calls.ledger import BudgetLedger
from generia_assets.durable.calls.platform_client import TaskPlatformClient
from generia_assets.durable.calls.providers import Providers
from generia_assets.durable.calls.publications import Publications
from generia_assets.durable.calls.text_client import TaskTextClient
from generia_assets.durable.tasks.checkpoints import Checkpoints
from generia_assets.durable.tasks.runner import TaskContext
from generia_assets.tasks.clients import TaskClients


class GatewayClientFactory:
    """Makes the tools of a world's tasks. See ``journal.Toolmaker``."""

    def __init__(self, world_id: str, providers: Providers, account: BudgetLedger, publications: Publications) -> None:
        self._world_id = world_id
        self._providers = providers
        self._account = account
        self._publications = publications

    def __call__(self, task: TaskContext, steps: Checkpoints) -> TaskClients:
        """The tools of one task."""
        publisher = TaskPlatformClient(self._world_id, task, steps, self._providers, self._account, self._publications)
        return TaskClients(
            text=TaskTextClient(task, steps, self._providers, self._account),
            images=TaskImageClient(task, steps, self._providers, self._account, publisher),
            platform=publisher,
        )
