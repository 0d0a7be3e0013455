"""Progress: how the status record moves with the work (R11), as changes to be committed together with the task that causes them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from generia_assets.catalog import TaskType
from generia_assets.durable.events.events import LiveEvent, StageFinished, StageStarted
from generia_assets.durable.status import Stage, StageState, State

logger = logging.getLogger(__name__)

STAGE_OF: Mapping[TaskType, Stage] = {task_type: Stage(task_type.asset.stage) for task_type in TaskType}


@dataclass
class StageTracker:
    """Which stage is where, in this run. A stage completes when all tasks that this run will do for it have ended."""

    expected: Mapping[Stage, int]
    states: dict[Stage, State] = field(default_factory=lambda: dict.fromkeys(Stage, State.PENDING))
    ended: Counter[Stage] = field(default_factory=Counter)
    _under_way: set[Stage] = field(default_factory=set)
    """Reported as started and not as finished, in this run or an earlier one."""
    _news: list[LiveEvent] = field(default_factory=list)

    def news(self) -> list[LiveEvent]:
        """The events of stages that started and finished since the last call: to be committed with the change that moved them."""
        news, self._news = self._news, []
        return news

    def begin(self) -> dict[str, object]:
        """The stages as they stand when a run begins: what it will not touch is completed already."""
        untouched = [stage for stage in Stage if stage is not Stage.FINISHING and not self.expected.get(stage)]
        self.states |= dict.fromkeys(untouched, State.COMPLETED)
        return self._all()

    def resume(self, left: Iterable[StageState]) -> dict[str, object]:
        """The stages as an earlier run of the generation left them; what failed is tried again."""
        self.states |= {one.name: State.PENDING if one.status is State.FAILED else one.status for one in left}
        self._under_way = {stage for stage, state in self.states.items() if state is State.IN_PROGRESS}
        return self._all()

    def started(self, task_type: TaskType) -> dict[str, object]:
        stage = STAGE_OF[task_type]
        return self._moved(State.IN_PROGRESS, stage) if self.states[stage] is State.PENDING else {}

    def task_ended(self, task_type: TaskType) -> dict[str, object]:
        stage = STAGE_OF[task_type]
        self.ended[stage] += 1
        if self.ended[stage] >= self.expected.get(stage, 0):
            return self._moved(State.COMPLETED, stage)
        return self.started(task_type)

    def finishing(self) -> dict[str, object]:
        self._moved(State.COMPLETED, *(stage for stage in Stage if stage is not Stage.FINISHING))
        return self._moved(State.IN_PROGRESS, Stage.FINISHING)

    def finished(self) -> dict[str, object]:
        return self._moved(State.COMPLETED, *Stage)

    def failed(self) -> dict[str, object]:
        stage = self._current()
        return self._moved(State.FAILED, stage) | {"current_stage": stage.value}

    def _moved(self, state: State, *stages: Stage) -> dict[str, object]:
        for stage in stages:
            self.states[stage] = state
            if state is State.IN_PROGRESS and stage not in self._under_way:
                self._under_way.add(stage)
                logger.info("stage %s: started", stage.value)
                self._news.append(StageStarted(stage=stage))
            elif state in (State.COMPLETED, State.FAILED) and stage in self._under_way:
                self._under_way.remove(stage)
                logger.info("stage %s: %s", stage.value, state.value)
                if state is State.COMPLETED:
                    self._news.append(StageFinished(stage=stage))
        return self._all()

    def _all(self) -> dict[str, object]:
        """All stages, even where one moved: a change of one path and one of all would not go into the same update."""
        stages = [{"name": stage.value, "status": self.states[stage].value} for stage in Stage]
        return {"stages": stages, "current_stage": self._current().value}

    def _current(self) -> Stage:
        """The first stage that is not over: what a progress bar should show while several are in progress."""
        return next((stage for stage in Stage if self.states[stage] in (State.PENDING, State.IN_PROGRESS)), Stage.FINISHING)


def counted(task_type: TaskType) -> tuple[dict[str, float], dict[str, datetime]]:
    """What a completed task of this type adds to the status record: increments, and first moments."""
    increments: dict[str, float] = {"tasks_completed": 1}
    if counter := task_type.asset.counter:
        increments[counter] = 1
    minima = {"first_post_at": datetime.now(UTC)} if task_type is TaskType.GENERATE_POST_IMAGE else {}
    return increments, minima
