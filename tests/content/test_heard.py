"""What a person has heard: the earlier ideas of others in the request for a post."""

import pytest

from generia_assets.content.seeding import world_seed
from generia_assets.content.social import acquaintances
from generia_assets.content.timeline import MOST_HEARD, heard_before, timeline


@pytest.mark.parametrize(("people", "posts"), [(1, 5), (3, 6), (5, 12), (25, 150), (40, 60)])
def test_a_person_has_heard_the_latest_planned_ideas_of_acquaintances(people: int, posts: int) -> None:
    """At most four, all earlier, from acquaintances with planned posts; never replies; the latest idea of each person before a
    second one."""
    heard_count = 0
    for name in range(5):
        seed = world_seed(str(name))
        line = timeline(seed, people, posts)
        for t in range(posts):
            heard = heard_before(seed, people, posts, t)
            known = {tie.index for tie in acquaintances(seed, people, line.people[t])}
            possible = [
                earlier
                for earlier in range(t)
                if line.people[earlier] in known and line.replies[earlier] < 0 and line.count_of(line.people[earlier]) > 1
            ]
            assert list(heard) == sorted(set(heard) & set(possible))
            if line.replies[t] >= 0:
                assert heard == ()
                continue
            assert len(heard) == min(MOST_HEARD, len(possible))
            authors = [line.people[earlier] for earlier in heard]
            assert len(set(authors)) == min(len(heard), len({line.people[earlier] for earlier in possible}))
            for author in set(authors):
                own = [earlier for earlier in possible if line.people[earlier] == author]
                assert [earlier for earlier in heard if line.people[earlier] == author] == own[-authors.count(author) :]
            heard_count += len(heard)
    assert heard_count > 0 or people == 1
