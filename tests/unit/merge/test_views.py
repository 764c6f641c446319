"""The rules for which view a change is an edit of."""

from collab.merge.delta import Delta
from collab.merge.lateness import LATE_WINDOW

from .desk import Desk, typing


def test_a_typist_alone_gets_nothing_back() -> None:
    desk = Desk("ab")
    outcome = desk.change("axb")
    assert outcome.delta == Delta.of(1, "x")
    assert (outcome.echo, outcome.needs_receive, outcome.guessed) == (False, False, False)
    assert desk.text == "axb"


def test_an_edit_of_an_old_view_is_merged_and_the_member_needs_the_merged_text() -> None:
    desk = typing("ab")
    desk.edit_by_others("abZ")
    outcome = desk.change("xab")
    assert desk.text == "xabZ"
    assert outcome.needs_receive
    assert desk.peer.final_text == "xab"


def test_a_first_change_is_placed_exactly_before_and_after_a_receive() -> None:
    """Although the other view gives the smaller edit."""
    for pongs, typed, delta in ((0, "abcx", Delta.of(3, "x")), (2, "abcdefx", Delta.of(6, "x"))):
        desk = Desk("abcdef" if not pongs else "abc")
        desk.edit_by_others("abc" if not pongs else "abcdef")
        assert desk.receive() is not None
        desk.pong(pongs)
        outcome = desk.change(typed)
        assert (outcome.delta.to_splices()[0].insert, outcome.guessed) == ("x", False), pongs
        assert outcome.delta == delta


def test_a_change_before_the_mark_is_of_the_view_before_the_receive() -> None:
    """Although the text of the receive gives the smaller edit."""
    desk = typing("abcdef")
    desk.edit_by_others("abc")
    assert desk.receive() is not None
    outcome = desk.change("abcx")
    assert not outcome.guessed
    assert outcome.delta == Delta.of(3, "x")
    assert desk.text == "abcx"
    assert desk.peer.final_text == "abc", "the receive will overwrite what was typed"
    assert outcome.needs_receive


def test_a_change_behind_the_mark_is_of_the_receive() -> None:
    """Although the view before the receive gives the smaller edit."""
    desk = typing("abc")
    desk.edit_by_others("abcdef")
    assert desk.receive() is not None
    desk.pong(2)
    desk.now += LATE_WINDOW
    outcome = desk.change("abcx")
    assert not outcome.guessed
    assert desk.text == "abcx"
    assert not outcome.needs_receive


def test_between_the_two_pongs_the_received_text_is_an_echo() -> None:
    desk = typing("abc")
    desk.edit_by_others("aXc")
    assert desk.receive() is not None
    desk.pong()
    outcome = desk.change("aXc")
    assert outcome.echo
    assert outcome.delta.is_identity
    assert not outcome.needs_receive
    desk.pong()
    assert desk.change("aXcd").delta == Delta.of(3, "d")


def test_between_the_two_pongs_the_smaller_edit_decides() -> None:
    for typed, merged in (("xabc", "xabcZ"), ("abcZx", "abcZx")):
        desk = typing("abc")
        desk.edit_by_others("abcZ")
        assert desk.receive() is not None
        desk.pong()
        outcome = desk.change(typed)
        assert outcome.guessed
        assert desk.text == merged


def test_a_person_who_deletes_a_letter_as_a_receive_arrives_deletes_their_own() -> None:
    """Both views give an edit of one letter; the person can't have seen the other's letter yet."""
    desk = typing("x")
    desk.edit_by_others("y")
    assert desk.receive() is not None
    desk.pong()
    outcome = desk.change("")
    assert outcome.guessed
    assert desk.text == "y"


def test_an_unclear_choice_is_repaired_by_a_receive() -> None:
    """If the person deleted the other's letter, the screen is empty, but the room's text is not."""
    desk = typing("x")
    desk.edit_by_others("y")
    assert desk.receive() is not None
    desk.pong()
    assert desk.change("").needs_receive
    assert desk.peer.final_text is None
    desk.pong()
    assert desk.receive() is not None
    assert desk.peer.final_text == "y"
    desk.pong(2)
    assert not desk.change("yz").guessed
    assert desk.text == "yz"


def test_an_unclear_choice_is_forgotten_once_a_later_receive_is_confirmed() -> None:
    desk = typing("x")
    desk.edit_by_others("y")
    assert desk.receive() is not None
    desk.pong()
    desk.change("")
    desk.pong()
    desk.edit_by_others("later")
    assert desk.receive() is not None
    desk.pong(2)
    assert desk.peer.final_text == "later"
    assert not desk.change("later!").guessed


def test_pings_with_no_receive_between_them_are_answered_in_order_too() -> None:
    desk = typing("ab")
    desk.ping()
    desk.edit_by_others("abZ")
    assert desk.receive() is not None
    desk.pong()
    assert not desk.change("xab").guessed, "the first of three PONGs has arrived"
    assert desk.text == "xabZ"
    desk.pong(2)
    assert not desk.change("abZy").guessed


def test_a_pong_to_no_ping_is_ignored() -> None:
    desk = typing("ab")
    desk.pong(3)
    desk.edit_by_others("abZ")
    assert desk.receive() is not None
    desk.pong(2)
    assert not desk.change("abZ!").guessed


def test_two_changes_in_a_row_build_on_each_other() -> None:
    desk = typing("ab")
    desk.edit_by_others("Zab")
    assert [desk.change(text).delta for text in ("abc", "abcd", "abd")] == [
        Delta.of(3, "c"),
        Delta.of(4, "d"),
        Delta.of(3, -1),
    ]
    assert desk.text == "Zabd"


def test_foreign_text_inside_a_deletion_survives_it() -> None:
    desk = typing("one two three")
    desk.edit_by_others("one twNEWo three")
    desk.change("one three")
    assert "NEW" in desk.text
    assert desk.text.replace("NEW", "") == "one three"


def test_two_cursors_that_meet_two_cursors_double_nothing() -> None:
    desk = typing("<middle>")
    desk.edit_by_others("A<middle>B")
    desk.change("C<middle>D")
    assert sorted(desk.text) == sorted("ABCD<middle>")


def test_a_letter_typed_behind_one_that_a_stale_receive_hid_lands_behind_it() -> None:
    desk = typing("")
    desk.edit_by_others("z")
    assert desk.receive() is not None  # on its way while the member types
    desk.change("A")
    desk.pong(2)  # the receive arrives, and hides the A
    desk.change("zB")
    assert desk.text.index("A") < desk.text.index("B")
