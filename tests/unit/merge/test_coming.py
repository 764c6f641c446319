"""What a page may be showing when it joins, mounts again, or reconnects."""

from collab.merge.delta import Delta
from collab.merge.diff import diff
from collab.merge.lateness import LATE_WINDOW, MIN_LATE_CHANGES, PAST_WINDOW, Habit
from collab.merge.trail import View
from collab.merge.views import Views

from .desk import Desk, typing


def test_a_page_that_shows_nothing_may_type_before_its_first_receive() -> None:
    for size in (0, 5):
        text = "x" * size
        desk = Desk(text, shown="")
        outcome = desk.change("new")
        assert desk.text == text + "new"
        assert outcome.needs_receive is bool(size)


def test_an_editor_that_mounts_empty_deletes_nothing() -> None:
    desk = Desk("the room", shown="")
    outcome = desk.change("")
    assert outcome.echo
    assert outcome.needs_receive
    assert desk.receive() == "the room"


def test_a_page_that_mounts_again_shows_nothing_until_its_next_receive() -> None:
    for typed, merged in (("x", "the roomx"), ("", "the room"), ("the room!", "the room!")):
        desk = typing("the room")
        desk.peer.mount(owed=True)
        assert desk.receive() == "the room", (
            "a receive is due, whatever the page is believed to show"
        )
        desk.change(typed)
        assert desk.text == merged, typed
        desk.pong(2)
        assert desk.peer.final_text == "the room"


def test_a_page_that_mounted_again_shows_only_its_receive_once_that_has_arrived() -> None:
    desk = typing("the room")
    desk.peer.mount(owed=True)
    assert desk.receive() == "the room"
    desk.pong(2)
    desk.now += PAST_WINDOW
    assert not desk.change("").guessed
    assert desk.text == "", "the person has deleted everything"


def test_a_text_with_long_runs_of_another_was_not_typed_on_an_empty_page() -> None:
    """Even if the empty page would make the smaller edit."""
    desk = Desk("one two three four!", shown="")
    desk.views.offer(View("one two three four", Delta.of(18, "!")))
    desk.change("one t")
    assert desk.text == "one t!"


def test_a_reconnected_member_shows_one_of_the_texts_that_were_on_their_way_or_its_own() -> None:
    for typed, merged in (
        ("hello world!", "NEW hello brave world!"),
        ("hello brave world!", "NEW hello brave world!"),
    ):
        desk = typing("hello world")
        desk.edit_by_others("hello brave world")
        assert desk.receive() == "hello brave world"
        desk.reconnect()
        desk.edit_by_others("NEW hello brave world")
        outcome = desk.change(typed)
        assert desk.text == merged
        assert outcome.needs_receive


def test_a_reconnected_member_may_have_mounted_again_while_its_link_was_dead() -> None:
    """A link may be dead for long before either side notices, and all that was sent is lost."""
    desk = typing("what the others have typed")
    desk.reconnect()
    desk.change("hi")
    assert desk.text == "what the others have typedhi"


def test_a_reconnected_member_that_has_retyped_a_small_text_does_not_count_as_a_blank_page() -> (
    None
):
    desk = typing("abc")
    desk.reconnect()
    desk.change("axy")
    assert desk.text == "axy"


def test_anchors_distinguish_a_reconnected_member_from_a_blank_page() -> None:
    """No long runs are left if a person deletes most of a text and inserts letters in the rest."""
    desk = typing("abcdefghijklmnopqrstuvwxyz")
    desk.reconnect()
    desk.change("1a2h3p4x5")
    assert desk.text == "1a2h3p4x5"


def test_a_member_that_another_node_hands_over_keeps_all_its_views() -> None:
    desk = typing("hello world")
    desk.edit_by_others("hello brave world")
    assert desk.receive() == "hello brave world"
    there = desk.peer.views()
    onward = Delta.from_splices(diff("hello brave world", "NEW hello brave world"))
    views = Views.restored(there, onward, Habit(), known=True)
    assert views.is_known(0.0)
    assert not Views.restored(there, onward, Habit(), known=False).is_known(0.0)
    views.check("NEW hello brave world")
    assert [view.text for view in views.views()] == ["hello brave world", "hello world"]
    outcome = views.change("hello world!", 1.0, None)
    assert outcome.delta.apply("NEW hello brave world") == "NEW hello brave world!"


def test_a_view_from_before_its_connection_is_possible_until_a_page_is_known() -> None:
    desk = Desk("one two three", shown="")
    assert not desk.peer.is_known()
    desk.peer.offer_former(View("one two", Delta.of(7, " three")))
    desk.change("one two!")
    assert desk.text == "one two three!"
    assert desk.peer.is_known()


def test_a_page_is_known_only_when_it_has_had_time_to_show_its_first_receive() -> None:
    desk = Desk("one", shown="")
    assert desk.receive() == "one"
    desk.pong(2)
    desk.now += LATE_WINDOW
    assert not desk.peer.is_known()
    desk.now += LATE_WINDOW
    assert desk.peer.is_known()


def test_a_text_of_the_history_does_not_win_over_a_receive_that_explains_the_change() -> None:
    """A fast client edits the text that it has just received; an older text is nearer by chance."""
    desk = Desk("9: page", shown="")
    assert desk.receive() == "9: page"
    desk.pong(2)
    desk.peer.offer_former(View("1: page", Delta.of("9", -1)))
    desk.change("10: page")
    assert desk.text == "10: page"


def test_a_text_of_the_history_is_no_base_only_because_the_pages_of_a_site_render_late() -> None:
    """Its page may have come back; how late the site's pages render says nothing about that."""
    habit = Habit()
    for _ in range(MIN_LATE_CHANGES):
        habit.record_late(PAST_WINDOW / 2)
    desk = Desk("9: page", shown="", habit=habit)
    assert desk.receive() == "9: page"
    desk.pong(2)
    desk.peer.offer_former(View("1: page", Delta.of("9", -1)))
    desk.change("10: page")
    assert desk.text == "10: page"


def test_a_page_that_has_come_back_says_nothing_about_how_late_pages_render() -> None:
    habit = Habit()
    for _ in range(MIN_LATE_CHANGES):
        desk = Desk("one, two", shown="", habit=habit)
        assert desk.receive() == "one, two"
        desk.pong(2)
        desk.peer.offer_former(View("two three four", Delta.of("one, ", 3, -11)))
        desk.change("two three four!")
        assert desk.text == "one, two!"
    assert habit.lateness == 0
