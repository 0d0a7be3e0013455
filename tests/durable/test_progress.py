"""Progress: how the stages move with the work."""

from __future__ import annotations

from generia_assets.catalog import TaskType
from generia_assets.durable.events.progress import STAGE_OF, StageTracker, counted
from generia_assets.durable.status import Stage, State

WORLD = {Stage.INITIALIZING: 1, Stage.WORLD_DESCRIPTION: 1, Stage.WORLD_IMAGE: 1, Stage.CHARACTERS: 3, Stage.POSTS: 2}


def states(tracker: StageTracker) -> list[str]:
    return [tracker.states[stage].value for stage in Stage]


def test_every_task_type_belongs_to_a_stage() -> None:
    """All nine are counted somewhere, and the stages are the contract's, in its order."""
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
    """Nothing is claimed before it happens; the first stage is the present one."""
    tracker = StageTracker(WORLD)
    values = tracker.begin()
    assert values["current_stage"] == "initializing"
    assert states(tracker) == ["pending"] * 6


def test_what_a_run_does_not_touch_is_completed_from_the_start() -> None:
    """A run over posts alone begins with everything before them done."""
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


def test_a_task_that_begins_in_a_stage_under_way_changes_nothing() -> None:
    """Only the first task of a stage moves it: hundreds of tasks do not write the same again."""
    tracker = StageTracker(WORLD)
    tracker.begin()
    assert tracker.started(TaskType.GENERATE_CHARACTER)
    assert tracker.started(TaskType.GENERATE_CHARACTER) == {}


def test_a_resumed_generation_keeps_what_was_completed_and_tries_what_failed_again() -> None:
    """An earlier run's stages stay as they were, whatever is asked of them again; its failed one is pending."""
    tracker = StageTracker(WORLD)
    left = dict(zip(Stage, map(State, ["completed", "completed", "failed", "in_progress", "pending", "pending"]), strict=True))
    assert tracker.resume(left)["current_stage"] == "world_image"
    assert states(tracker) == ["completed", "completed", "pending", "in_progress", "pending", "pending"]
    tracker.started(TaskType.INIT_WORLD_CREATION)
    assert states(tracker)[0] == "completed"


def changes(tracker: StageTracker) -> list[str]:
    """What there is to be told about stages since the last time."""
    return [f"{event.event_type} {event.model_dump()['stage']}" for event in tracker.news()]


def test_a_stage_is_told_once_when_it_starts_and_once_when_it_finishes() -> None:
    """However many tasks it has; a stage that the run does not touch is not told at all."""
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


def test_a_stage_that_another_run_started_is_not_told_as_started_again() -> None:
    """After a takeover its finish is told; one that failed starts anew, and a failed stage does not finish."""
    left = {Stage.CHARACTERS: State.IN_PROGRESS, Stage.POSTS: State.FAILED}
    tracker = StageTracker(WORLD)
    tracker.resume({stage: left.get(stage, State.COMPLETED) for stage in Stage})
    for task_type in (TaskType.GENERATE_CHARACTER, TaskType.GENERATE_POST):
        tracker.started(task_type)
    assert changes(tracker) == ["stage_started posts"]
    tracker.failed()
    assert changes(tracker) == []
    tracker.finished()
    assert changes(tracker) == ["stage_finished posts"]


def test_a_world_fails_in_the_stage_it_is_in() -> None:
    """The failed stage is the present one, for those who watch."""
    tracker = StageTracker(WORLD)
    tracker.begin()
    tracker.task_ended(TaskType.INIT_WORLD_CREATION)
    tracker.started(TaskType.GENERATE_WORLD_DESCRIPTION)
    assert tracker.failed()["current_stage"] == "world_description"
    assert states(tracker)[:3] == ["completed", "failed", "pending"]


def test_finishing_comes_after_all_others_and_completed_last() -> None:
    """While documents are written only ``finishing`` is in progress; then every stage is completed."""
    tracker = StageTracker(WORLD)
    tracker.begin()
    assert tracker.finishing()["current_stage"] == "finishing"
    assert states(tracker) == ["completed"] * 5 + ["in_progress"]
    assert tracker.finished()["current_stage"] == "finishing"
    assert states(tracker) == ["completed"] * 6


def test_a_completed_task_counts_once_and_people_and_posts_besides() -> None:
    """A person exists with ``generate_character``, a post when its picture has published it; the first post has its moment."""
    for task_type in TaskType:
        increments, minima = counted(task_type)
        extra = {TaskType.GENERATE_CHARACTER: {"users_created": 1}, TaskType.GENERATE_POST_IMAGE: {"posts_created": 1}}
        assert increments == {"tasks_completed": 1, **extra.get(task_type, {})}
        assert set(minima) == ({"first_post_at"} if task_type is TaskType.GENERATE_POST_IMAGE else set())
