"""Progress: how tasks change the states of the stages."""

from __future__ import annotations

from generia_assets.catalog import TaskType
from generia_assets.durable.events.progress import STAGE_OF, StageTracker, counted
from generia_assets.durable.status import Stage, StageState, State

WORLD = {Stage.INITIALIZING: 1, Stage.WORLD_DESCRIPTION: 1, Stage.WORLD_IMAGE: 1, Stage.CHARACTERS: 3, Stage.POSTS: 2}


def states(tracker: StageTracker) -> list[str]:
    return [tracker.states[stage].value for stage in Stage]


def test_every_task_type_belongs_to_a_stage() -> None:
    """All nine are counted in a stage, and the stages are those of the contract, in its order."""
    assert set(STAGE_OF) == set(TaskType)
    assert [stage.value for stage in Stage] == [
        "initializing",
        "world_description",
        "world_image",
        "characters",
        "posts",
        "finishing",
    ]


def test_a_new_world_begins_with_everything_pending() -> None:
    """All stages are pending; the first stage is the present one."""
    tracker = StageTracker(WORLD)
    values = tracker.begin()
    assert values["current_stage"] == "initializing"
    assert states(tracker) == ["pending"] * 6


def test_stages_outside_the_selection_are_completed_from_the_start() -> None:
    """A run over posts alone begins with all earlier stages completed."""
    tracker = StageTracker({Stage.POSTS: 2})
    assert tracker.begin()["current_stage"] == "posts"
    assert states(tracker) == ["completed"] * 4 + ["pending", "pending"]


def test_a_stage_is_in_progress_from_its_first_task_and_completed_by_its_last() -> None:
    """Stages may overlap; the present one is the first that is not over."""
    tracker = StageTracker(WORLD)
    tracker.begin()
    tracker.task_ended(TaskType.INIT_WORLD_CREATION)
    tracker.task_ended(TaskType.GENERATE_WORLD_DESCRIPTION)
    tracker.started(TaskType.GENERATE_CHARACTER_BATCH)
    assert states(tracker)[:5] == ["completed", "completed", "pending", "in_progress", "pending"]
    assert tracker.started(TaskType.GENERATE_POST)["current_stage"] == "world_image"
    tracker.task_ended(TaskType.GENERATE_CHARACTER_BATCH)
    assert tracker.task_ended(TaskType.GENERATE_WORLD_IMAGE)["current_stage"] == "characters"
    assert tracker.task_ended(TaskType.GENERATE_CHARACTER_AVATAR) == {}
    assert tracker.task_ended(TaskType.GENERATE_CHARACTER)["current_stage"] == "posts"
    assert states(tracker) == ["completed"] * 4 + ["in_progress", "pending"]


def test_a_task_that_begins_in_a_started_stage_changes_nothing() -> None:
    """Only the first task of a stage changes it: hundreds of tasks do not write the same again."""
    tracker = StageTracker(WORLD)
    tracker.begin()
    assert tracker.started(TaskType.GENERATE_CHARACTER)
    assert tracker.started(TaskType.GENERATE_CHARACTER) == {}


def test_a_resumed_generation_keeps_completed_stages_and_repeats_failed_ones() -> None:
    """The completed stages of an earlier run do not change, whatever is executed again; its failed stage is pending."""
    tracker = StageTracker(WORLD)
    states_left = map(State, ["completed", "completed", "failed", "in_progress", "pending", "pending"])
    left = [StageState(name=stage, status=state) for stage, state in zip(Stage, states_left, strict=True)]
    assert tracker.resume(left)["current_stage"] == "world_image"
    assert states(tracker) == ["completed", "completed", "pending", "in_progress", "pending", "pending"]
    tracker.started(TaskType.INIT_WORLD_CREATION)
    assert states(tracker)[0] == "completed"


def changes(tracker: StageTracker) -> list[str]:
    """The changes of stages since the last call."""
    return [f"{event.event_type} {event.model_dump()['stage']}" for event in tracker.news()]


def test_a_stage_has_one_event_for_its_start_and_one_for_its_end() -> None:
    """This holds for any number of tasks; a stage outside the run's selection has no event."""
    tracker = StageTracker({Stage.WORLD_IMAGE: 0, Stage.CHARACTERS: 2, Stage.POSTS: 1})
    tracker.begin()
    assert changes(tracker) == []
    tracker.started(TaskType.GENERATE_CHARACTER)
    tracker.started(TaskType.GENERATE_CHARACTER_AVATAR)
    tracker.task_ended(TaskType.GENERATE_CHARACTER)
    assert changes(tracker) == ["stage_started characters"]
    tracker.task_ended(TaskType.GENERATE_CHARACTER_AVATAR)
    tracker.finishing()
    tracker.finished()
    assert changes(tracker) == ["stage_finished characters", "stage_started finishing", "stage_finished finishing"]
    assert changes(tracker) == []


def test_a_stage_that_another_run_started_has_no_second_start_event() -> None:
    """After a recovery it has an event for its end; a failed stage starts again, and does not finish."""
    left = {Stage.CHARACTERS: State.IN_PROGRESS, Stage.POSTS: State.FAILED}
    tracker = StageTracker(WORLD)
    tracker.resume(StageState(name=stage, status=left.get(stage, State.COMPLETED)) for stage in Stage)
    for task_type in (TaskType.GENERATE_CHARACTER, TaskType.GENERATE_POST):
        tracker.started(task_type)
    assert changes(tracker) == ["stage_started posts"]
    tracker.failed()
    assert changes(tracker) == []
    tracker.finished()
    assert changes(tracker) == ["stage_finished posts"]


def test_a_world_fails_in_the_stage_it_is_in() -> None:
    """The failed stage is the present one."""
    tracker = StageTracker(WORLD)
    tracker.begin()
    tracker.task_ended(TaskType.INIT_WORLD_CREATION)
    tracker.started(TaskType.GENERATE_WORLD_DESCRIPTION)
    assert tracker.failed()["current_stage"] == "world_description"
    assert states(tracker)[:3] == ["completed", "failed", "pending"]


def test_finishing_comes_after_all_other_stages_and_completed_last() -> None:
    """While documents are written only ``finishing`` is in progress; then every stage is completed."""
    tracker = StageTracker(WORLD)
    tracker.begin()
    assert tracker.finishing()["current_stage"] == "finishing"
    assert states(tracker) == ["completed"] * 5 + ["in_progress"]
    assert tracker.finished()["current_stage"] == "finishing"
    assert states(tracker) == ["completed"] * 6


def test_a_completed_task_counts_once_and_also_as_a_person_or_post() -> None:
    """A person counts with ``generate_character``, a post with the task that publishes it; the moment of the first post is
    recorded."""
    for task_type in TaskType:
        increments, minima = counted(task_type)
        extra = {TaskType.GENERATE_CHARACTER: {"users_created": 1}, TaskType.GENERATE_POST_IMAGE: {"posts_created": 1}}
        assert increments == {"tasks_completed": 1, **extra.get(task_type, {})}
        assert set(minima) == ({"first_post_at"} if task_type is TaskType.GENERATE_POST_IMAGE else set())
