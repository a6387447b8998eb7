from monitor.worker.watchdog import Watchdog


def test_a_position_that_stays_behind_its_end_is_told_after_its_time() -> None:
    watchdog = Watchdog(30)

    looks = [watchdog.look({3: 7}, {3: 9 + now}, float(now)) for now in (0, 10, 20, 29, 30, 40)]

    assert looks == [[], [], [], [], [3], [3]]


def test_a_partition_without_anything_new_may_stand_for_ever() -> None:
    watchdog = Watchdog(30)

    looks = [watchdog.look({3: 7}, {3: 7}, float(now)) for now in range(0, 1000, 10)]

    assert not any(looks)


def test_the_time_begins_with_the_first_event_that_waits() -> None:
    watchdog = Watchdog(30)
    watchdog.look({3: 7}, {3: 7}, 0.0)
    watchdog.look({3: 7}, {3: 7}, 100.0)

    assert watchdog.look({3: 7}, {3: 8}, 110.0) == []
    assert watchdog.look({3: 7}, {3: 8}, 129.0) == []
    assert watchdog.look({3: 7}, {3: 8}, 130.0) == [3]


def test_one_that_moves_however_slowly_is_not_told() -> None:
    watchdog = Watchdog(30)

    looks = [watchdog.look({3: now // 20}, {3: 1000}, float(now)) for now in range(0, 1000, 10)]

    assert not any(looks)


def test_a_partition_that_was_away_begins_anew() -> None:
    watchdog = Watchdog(30)
    watchdog.look({3: 7}, {3: 9}, 0.0)
    watchdog.look({}, {}, 20.0)

    assert watchdog.look({3: 7}, {3: 9}, 40.0) == []
