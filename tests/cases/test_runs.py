"""What becomes of a world when something unusual happens to its runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from generia_assets.durable.status import State
from tests.worlds_in_process import Worlds, worlds_in_process


@pytest.fixture(scope="module")
def the_worlds(tmp_path_factory: pytest.TempPathFactory, mongodb_uri: str, broker: str, gemini_process: str) -> Iterator[Worlds]:
    home = tmp_path_factory.mktemp("cases")
    few = {"gemini_max_reasks": 0}
    with worlds_in_process(home, mongodb_uri=mongodb_uri, broker=broker, gemini=gemini_process, **few) as worlds:
        yield worlds


@pytest.fixture
def worlds(the_worlds: Worlds) -> Iterator[Worlds]:
    """The worlds, with an emulator that does nothing wrong but what the test asks for."""
    assert the_worlds.gemini is not None
    the_worlds.gemini.reset()
    yield the_worlds
    the_worlds.gemini.reset()


@pytest.mark.case("S10")
@pytest.mark.parametrize("answered", [0, 4], ids=["while it is described", "among its people"])
def test_a_world_whose_partition_is_deleted_while_it_is_made_is_completed(worlds: Worlds, tmp_path: Path, answered: int) -> None:
    """What is paid is stored all the same: the run adds the partition again and ends well."""
    assert worlds.gemini is not None
    world_id, gemini = f"deleted-after-{answered}", worlds.gemini
    gemini.set_faults(latency=0.3)

    def delete() -> None:
        gemini.wait_until(lambda stats: stats.calls > answered, timeout=30)
        on_disk.delete_dynamic_partition("worlds", world_id)

    with dg.DagsterInstance.local_temp(str(tmp_path)) as on_disk, pytest.MonkeyPatch.context() as patch:  # two threads look at it
        patch.setattr(worlds, "instance", on_disk)
        deleting = threading.Thread(target=delete)
        deleting.start()
        _, made = worlds.make(world_id, users=1, posts=1)
        deleting.join()
        assert made.success, made.failure
        assert on_disk.has_dynamic_partition("worlds", world_id)
    assert worlds.status(world_id).status is State.COMPLETED
    assert len(worlds.documents("post_images", world_id)) == 1
