"""Changes of a text that a receive had replaced: by late pages, or kept back by clients."""

from hypothesis import given
from hypothesis import strategies as st

from collab.merge.delta import IDENTITY, Delta
from collab.merge.lateness import (
    LATE_WINDOW,
    MAX_EDITS,
    MAX_PAST,
    MIN_LATE_CHANGES,
    PAST_WINDOW,
    RENDER_WINDOW,
    Habit,
    Past,
    Pasts,
)
from collab.merge.trail import View

from .desk import Desk, kept_back
from .strategies import deltas


def _received(before: str, text: str, habit: Habit | None = None) -> Desk:
    """Return a member that has just confirmed a receive of ``text`` in place of ``before``."""
    desk = Desk(before, habit=habit)
    desk.edit_by_others(text)
    assert desk.receive() == text
    desk.pong(2)
    return desk


def test_a_key_on_a_page_that_has_not_rendered_yet_undoes_nothing() -> None:
    for before, text, typed, merged in (
        ("one two", "ONE one two", "one two!", "ONE one two!"),  # the two edits are far apart
        ("one two", "two", "one two!", "two!"),  # it would restore what was deleted
        ("one two", "one twoX", "one two!", "one twoX!"),  # at one place, a keystroke
    ):
        desk = _received(before, text)
        outcome = desk.change(typed)
        assert outcome.late, typed
        assert desk.text == merged


def test_after_a_moment_a_person_may_have_deleted_what_arrived() -> None:
    desk = _received("one two", "one twoX")
    desk.now += LATE_WINDOW
    assert not desk.change("one two!").late
    assert desk.text == "one two!"


def test_after_some_time_a_person_may_have_restored_what_was_deleted() -> None:
    desk = _received("one two", "two")
    desk.now += PAST_WINDOW
    assert not desk.change("one two!").late
    assert desk.text == "one two!"


def test_a_deletion_counts_as_late_on_pages_that_are_known_to_be() -> None:
    """A backspace beside a letter that has just arrived may be meant for that letter."""
    habit = Habit()
    desk = _received("one two", "one twoX", habit)
    assert not desk.change("one tw").late
    for _ in range(MIN_LATE_CHANGES):
        habit.record_late(RENDER_WINDOW)
    desk = _received("one two", "one twoX", habit)
    assert desk.change("one tw").late
    assert desk.text == "one twX"


def test_a_site_whose_pages_render_at_once_has_no_lateness() -> None:
    habit = Habit()
    for _ in range(MIN_LATE_CHANGES):
        habit.record_late(RENDER_WINDOW)
    assert habit.lateness == RENDER_WINDOW
    for _ in range(1000):
        _received("one two", "ONE one two", habit).change("ONE one two!")
    assert habit.prompt == 1000
    assert habit.lateness == 0.0


def test_a_page_that_was_late_may_show_the_receive_after_all() -> None:
    """Of two states that a page sets, either may be the last that it renders."""
    desk = _received("one two", "ONE one two")
    desk.change("one two!")
    assert desk.text == "ONE one two!"
    assert desk.change("ONE one two?").late is False
    assert desk.text in ("ONE one two!?", "ONE one two?!")


def test_a_page_of_a_very_slow_site_may_show_again_what_it_showed_before_its_last_change() -> None:
    """React applies an old state late, over what was typed since, and sets that text in Monaco."""
    for lateness, merged in ((LATE_WINDOW / 2, "! one two"), (LATE_WINDOW, "! one two, three")):
        habit = Habit()
        for _ in range(MIN_LATE_CHANGES):
            habit.record_late(lateness)
        desk = Desk("one two", habit=habit)
        desk.change("one two, three")
        desk.now += LATE_WINDOW
        desk.change("! one two")
        assert desk.text == merged


def test_a_change_that_waited_may_be_one_of_a_text_from_before_the_receive() -> None:
    desk = kept_back()
    desk.change("12a", kept_since=0.0)
    assert desk.text == "12aZ"
    desk.change("123a", kept_since=0.0)
    assert desk.text == "123aZ", "of its own text, which the receive replaced on the page"
    assert desk.peer.final_text is None, (
        "the merged text is due, whatever the page is believed to show"
    )


def test_a_change_that_waited_may_be_one_of_the_receive() -> None:
    desk = kept_back()
    desk.change("aZ!", kept_since=0.0)
    assert desk.text == "1aZ!"
    desk.change("aZ!!", kept_since=0.0)
    assert desk.text == "1aZ!!"


def test_changes_that_waited_may_be_of_the_old_text_first_and_then_of_the_receive() -> None:
    desk = kept_back()
    desk.change("12a", kept_since=0.0)
    desk.change("aZ!", kept_since=0.0)
    assert desk.text == "12aZ!"


@given(data=st.data())
def test_replaced_views_follow_the_replica_though_their_edits_are_composed_later(
    data: st.DataObject,
) -> None:
    """Compared with views of which each is advanced by every edit."""
    pasts, eager, text, now = Pasts(), list[Past](), "some text", 0.0
    for step in data.draw(st.lists(st.sampled_from("adddf"), max_size=30)):
        now += 0.15
        if step == "a":
            pasts.add([View(text, IDENTITY)], now)
            eager = [*eager, Past(View(text, IDENTITY), now)][-MAX_PAST:]
        elif step == "d":
            delta = data.draw(deltas(len(text)))
            pasts.advance(delta)
            eager = [past._replace(view=past.view.advanced(delta)) for past in eager]
            text = delta.apply(text)
        else:
            pasts.forget(now)
            eager = [past for past in eager if past.since > now - PAST_WINDOW]
        assert list(pasts) == eager


def test_the_replaced_views_and_the_edits_that_are_kept_for_them_are_bounded() -> None:
    pasts, text = Pasts(), ""
    for _ in range(3 * MAX_EDITS):
        pasts.add([View(text, IDENTITY)], 0.0)
        pasts.advance(Delta.of("x"))
        text = "x" + text
        assert len(pasts._edits) <= MAX_EDITS
        assert all(view.to_present.apply(view.text) == text for view, *_ in pasts)
    assert len(list(pasts)) == MAX_PAST
