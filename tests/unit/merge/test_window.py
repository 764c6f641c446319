"""How many receives a text member may have on their way, and when it may have none."""

from collab.merge.window import (
    HOLD_SECONDS,
    MAX_UNCONFIRMED_LENGTH,
    MAX_UNCONFIRMED_VIEWS,
    MIN_UNECHOED,
    TYPING_WINDOW,
    Window,
)

from .desk import Desk, kept_back, typing


def test_a_member_that_only_reads_has_one_receive_on_its_way_at_a_time() -> None:
    desk = Desk("a")
    desk.edit_by_others("ab")
    assert desk.receive() == "ab"
    desk.edit_by_others("abc")
    assert desk.receive() is None
    assert desk.pong(), "the PONG to the mark before the receive: the next one must still wait"
    assert desk.receive() is None
    assert desk.pong(), "the PONG to the mark after it: the next receive is due"
    assert desk.receive() == "abc"
    assert not desk.pong(2), "nothing waits"


def _may_have_two_on_their_way(desk: Desk) -> bool:
    desk.edit_by_others(desk.text + "1")
    assert desk.receive() is not None
    desk.edit_by_others(desk.text + "2")
    return desk.receive() is not None


def test_a_typist_has_one_receive_at_a_time_until_two_were_not_echoed() -> None:
    for got in range(4):
        desk = typing("ab")
        for _ in range(got):
            desk.edit_by_others(desk.text + "Z")
            assert desk.receive() is not None
            desk.pong(2)
        assert _may_have_two_on_their_way(desk) is (got >= 2), got


def test_a_receive_that_was_lost_with_its_connection_does_not_count_as_unechoed() -> None:
    desk = typing("ab")
    desk.edit_by_others("abZ")
    assert desk.receive() is not None
    desk.reconnect()
    desk.change("abc")
    assert desk.receive() is not None
    desk.pong(2)
    assert not _may_have_two_on_their_way(desk)


def test_a_member_that_stops_typing_has_one_receive_at_a_time() -> None:
    desk = typing("ab")
    for text in ("abc", "abcd"):
        desk.edit_by_others(text)
        assert desk.receive() is None or not desk.pong(2)  # the member may be one that sends echoes
    desk.edit_by_others("abcde")
    assert desk.receive() == "abcde"
    desk.edit_by_others("abcdef")
    assert desk.receive() == "abcdef", "it is typing, and has echoed nothing: several at a time"
    desk.edit_by_others("abcdefg")
    desk.now += TYPING_WINDOW
    assert desk.receive() is None


def test_unconfirmed_views_are_bounded_and_a_pong_frees_them() -> None:
    desk = typing("x")
    for text in ("xx", "xxx"):
        desk.edit_by_others(text)
        assert desk.receive() == text
        desk.pong(2)
    for count in range(MAX_UNCONFIRMED_VIEWS):
        desk.edit_by_others("x" * (count + 4))
        assert desk.receive() is not None
    desk.edit_by_others("y")
    assert desk.receive() is None
    assert desk.pong(2)
    assert desk.receive() == "y"


def test_a_member_that_answers_nothing_has_32_receives_on_their_way_and_no_more() -> None:
    desk = typing("x")
    for text in ("xx", "xxx"):
        desk.edit_by_others(text)
        assert desk.receive() == text
        desk.pong(2)
    written = 0
    for number in range(100):
        desk.edit_by_others("y" * number)
        written += desk.receive() is not None
    assert written == 32


def test_a_reconnected_member_may_send_first() -> None:
    """Its page may show a letter that the broken connection has lost."""
    desk = typing("ab")
    desk.reconnect()
    assert desk.receive() is None, "the client sends its kept changes before the first PONG"
    desk.ping()
    assert desk.pong()
    assert desk.receive() is None
    assert desk.due_in == HOLD_SECONDS, "it was typing, so it gets more time"
    desk.now += HOLD_SECONDS
    assert desk.receive() == "ab"


def test_a_receive_that_waits_for_a_pong_is_not_tried_again_before_that() -> None:
    """Not even if the window was closed before: otherwise it would be tried again and again."""
    desk = typing("ab")
    desk.reconnect()
    desk.ping()
    desk.pong()
    desk.now += HOLD_SECONDS
    assert desk.receive() == "ab"
    desk.edit_by_others("abc")
    assert desk.receive() is None
    assert desk.due_in is None
    assert desk.pong()


def test_a_reconnected_reader_gets_the_text_as_soon_as_it_has_answered() -> None:
    desk = Desk("ab")
    desk.reconnect()
    desk.ping()
    assert desk.pong(), "though nothing was due to be written before"
    assert desk.receive() == "ab"


def test_a_member_whose_changes_may_wait_gets_no_receive_right_after_them() -> None:
    desk = kept_back()
    desk.change("12a", kept_since=0.0, may_wait=True)
    desk.edit_by_others("12aZY")
    assert desk.receive() is None
    assert desk.due_in == HOLD_SECONDS
    desk.now += HOLD_SECONDS
    assert desk.receive() == "12aZY"
    desk.change("123a", kept_since=0.0, may_wait=True)
    desk.peer.handle_idle()
    desk.pong(2)
    desk.edit_by_others(desk.text + "X")
    assert desk.receive() == "123aZYX"


def test_fewer_large_texts_are_on_their_way_but_always_one() -> None:
    for length, receives in ((MAX_UNCONFIRMED_LENGTH // 4, 4), (2 * MAX_UNCONFIRMED_LENGTH, 1)):
        desk = typing("x" * length)
        for _ in range(2):
            desk.edit_by_others(desk.text[1:] + "y")
            assert desk.receive() is not None
            desk.pong(2)
        sent = 0
        for _ in range(receives + 3):
            desk.edit_by_others(desk.text[1:] + "z")
            sent += desk.receive() is not None
        assert sent == receives


# The window by itself


def _several(window: Window, now: float = 0.0) -> bool:
    return window.size(now) == MAX_UNCONFIRMED_VIEWS


def _typing_window() -> Window:
    """Return the window of a member that is typing and echoes nothing."""
    window = Window()
    window.changed(0.0, echo=False, may_wait=False)
    for _ in range(MIN_UNECHOED):
        assert not _several(window)
        window.confirmed()
    assert _several(window)
    return window


def test_after_an_echo_the_receives_that_were_not_echoed_are_counted_anew() -> None:
    window = _typing_window()
    window.changed(0.0, echo=True, may_wait=False)
    for _ in range(MIN_UNECHOED):
        assert not _several(window)
        window.confirmed()
    assert _several(window)


def test_a_new_member_is_not_reconnecting_and_keeps_nothing_back() -> None:
    window = Window()
    window.typed(0.0)
    for _ in range(MIN_UNECHOED):
        window.confirmed()
    assert _several(window)
    window.close()
    window.mounted()
    assert window.size(0.0), "joining opens it"


def test_only_the_first_pong_after_a_reconnection_opens_the_window_later() -> None:
    window = _typing_window()
    window.reconnected()
    window.mounted()
    assert not window.size(0.0), "the kept changes come first"
    window.handle_pong(1.0)
    assert window.opens_in(1.0) == HOLD_SECONDS
    window.handle_pong(1.5)
    assert window.opens_in(1.5) == HOLD_SECONDS - 0.5
    assert _several(window, 1.0 + HOLD_SECONDS), "a new connection keeps nothing back"
