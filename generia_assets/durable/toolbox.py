"""The real tools of a task: language model, painter and publisher, each call a remembered step on the one path to the outside.

Here: what ties tasks/tools.py (what a task may ask for) to resources/ (how it is done). Not here: order, attempts and results of
tasks (journal.py).
"""

from __future__ import annotations

from generia_assets.durable.account import WorldAccount
from generia_assets.durable.journal import TaskInHand
from generia_assets.durable.painter import TaskPainter
from generia_assets.durable.providers import Providers
from generia_assets.durable.publications import Publications
from generia_assets.durable.publisher import TaskPublisher
from generia_assets.durable.steps import StepLog
from generia_assets.durable.writer import TaskWriter
from generia_assets.tasks.tools import Tools


class Toolbox:
    """Makes the tools of a world's tasks. See ``journal.Toolmaker``."""

    def __init__(self, world_id: str, providers: Providers, account: WorldAccount, publications: Publications) -> None:
        self._world_id = world_id
        self._providers = providers
        self._account = account
        self._publications = publications

    def __call__(self, task: TaskInHand, steps: StepLog) -> Tools:
        """The tools of one task."""
        publisher = TaskPublisher(self._world_id, task, steps, self._providers, self._account, self._publications)
        return Tools(
            writer=TaskWriter(task, steps, self._providers, self._account),
            painter=TaskPainter(task, steps, self._providers, self._account, publisher),
            publisher=publisher,
        )
