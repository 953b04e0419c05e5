from app.bot.limits import RateLimit
from app.core.model.chat import Caller

ALICE, BOB = Caller("UA", "C1"), Caller("UB", "C1")


def test_user_waits_after_ten_questions_in_a_minute() -> None:
    limit = RateLimit()
    assert [limit.wait_s(ALICE, float(second)) for second in range(10)] == [0.0] * 10
    assert limit.wait_s(ALICE, 10.0) == 50.0
    assert limit.wait_s(BOB, 10.0) == 0.0
    assert limit.wait_s(ALICE, 60.5) == 0.0


def test_channel_waits_after_its_own_limit() -> None:
    limit = RateLimit(per_user=2, per_channel=3)
    assert [limit.wait_s(ALICE, 0.0), limit.wait_s(ALICE, 0.0), limit.wait_s(BOB, 0.0)] == [0] * 3
    assert limit.wait_s(BOB, 1.0) == 59.0
    assert limit.wait_s(Caller("UB", "C2"), 1.0) == 0.0


def test_refused_questions_do_not_count() -> None:
    limit = RateLimit(per_user=1)
    assert limit.wait_s(ALICE, 0.0) == 0.0
    assert all(limit.wait_s(ALICE, second) > 0 for second in (1.0, 30.0, 59.0))
    assert limit.wait_s(ALICE, 60.0) == 0.0
