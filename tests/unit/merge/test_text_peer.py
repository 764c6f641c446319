"""When a text member's line is notified that a receive is due, and which receive is due then."""

from collab.merge.delta import Delta
from collab.merge.lateness import Habit
from collab.merge.text_peer import TextPeer
from collab.merge.trail import View
from collab.merge.views import Views
from collab.merge.window import HOLD_SECONDS

from .desk import Desk, typing


def test_a_receive_is_due_after_an_edit_of_others() -> None:
    desk = Desk("a")
    desk.edit_by_others("ab")
    assert desk.due
    assert desk.receive() == "ab"


def test_a_page_that_joins_is_due_the_text_once_though_it_may_show_it() -> None:
    desk = Desk("a")
    desk.peer.mount(owed=True)
    assert desk.due
    assert desk.receive() == "a"
    desk.pong(2)
    assert desk.receive() is None


def test_a_page_that_joins_a_room_without_a_text_is_due_nothing() -> None:
    desk = Desk("")
    desk.peer.mount(owed=False)
    assert desk.receive() is None


def test_a_text_that_is_to_be_sent_again_is_due() -> None:
    desk = Desk("a")
    desk.peer.resend()
    assert desk.due
    assert desk.receive() == "a"


def test_a_receive_that_had_to_wait_is_due_once_the_client_keeps_nothing_back() -> None:
    desk = Desk("a")
    desk.change("ab", may_wait=True)
    desk.edit_by_others("abc")
    assert desk.receive() is None
    desk.due = False
    desk.peer.handle_idle()
    assert desk.due
    assert desk.receive() == "abc"


def test_an_unknown_member_gets_no_receive_until_its_text_is_found() -> None:
    desk = Desk("one two", shown="")
    desk.peer.withhold_receives()
    assert desk.receive() is None
    assert desk.due_in is None
    desk.peer.offer_former(View("one", Delta.of(3, " two")))
    assert desk.receive() == "one two"


def test_a_reconnected_member_that_joins_first_sends_what_it_kept() -> None:
    desk = typing("ab")
    desk.reconnect()
    desk.ping()
    desk.peer.mount(owed=True)
    assert desk.receive() is None
    desk.change("abc")
    desk.pong()
    assert desk.receive() == "abc", "it has sent its change: nothing to wait for"


def test_a_member_that_was_typing_on_another_node_may_send_first_here() -> None:
    for was_typing in (True, False):
        desk = Desk("ab")
        views = Views.restored([View("ab", Delta.of(2))], Delta(), Habit(), known=True)
        desk.peer = TextPeer.restored(views, desk, lambda: 0.0, typing=was_typing)
        desk.ping()
        assert desk.pong()
        assert (desk.receive() is None) is was_typing
        assert desk.due_in == (HOLD_SECONDS if was_typing else None)
