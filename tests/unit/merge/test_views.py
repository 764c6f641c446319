"""Which view a change is an edit of, rule by rule."""

import pytest

from collab.merge.delta import IDENTITY, Delta
from collab.merge.diff import diff
from collab.merge.trail import View, comeback
from collab.merge.views import MAX_UNCONFIRMED_VIEWS, TYPING_WINDOW, Views


class Desk:
    """One member and the text of the replica it is a member of; packets go by hand."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.views = Views(View(text, IDENTITY))
        self.now = 0.0

    def others(self, text: str) -> None:
        """Somebody else makes the replica's text ``text``."""
        self.views.advance(Delta.from_splices(diff(self.text, text)))
        self.text = text
        self.views.check(text)

    def write(self) -> None:
        self.views.written(self.text)

    @property
    def may_write(self) -> bool:
        return self.views.may_receive(self.now)

    def pong(self, times: int = 1) -> None:
        for _ in range(times):
            self.views.pong()
        self.views.check(self.text)

    def arrives(self, text: str):  # type: ignore[no-untyped-def]
        """A change arrives; call the result to have it handled."""
        stamp = self.views.stamp()

        def handle():  # type: ignore[no-untyped-def]
            outcome = self.views.change(stamp, text, self.now)
            self.text = outcome.delta.apply(self.text)
            self.views.check(self.text)
            return outcome

        return handle

    def change(self, text: str):  # type: ignore[no-untyped-def]
        return self.arrives(text)()


def _typing(text: str) -> Desk:
    """A member that has typed, at a replica that now has ``text``."""
    desk = Desk(text[:-1])
    desk.change(text)
    return desk


def test_a_typist_alone_gets_nothing_back() -> None:
    desk = Desk("ab")
    outcome = desk.change("axb")
    assert outcome.delta == Delta.of(1, "x")
    assert (outcome.echo, outcome.needs_receive, outcome.guessed) == (False, False, False)
    assert desk.text == "axb"


def test_an_edit_of_an_old_view_is_merged_and_the_member_needs_the_merged_text() -> None:
    desk = _typing("ab")
    desk.others("abZ")
    outcome = desk.change("xab")
    assert desk.text == "xabZ"
    assert outcome.needs_receive
    assert desk.views.final_text == "xab"


def test_a_member_that_only_reads_has_one_receive_on_its_way_at_a_time() -> None:
    desk = Desk("a")
    assert desk.may_write
    desk.others("ab")
    desk.write()
    desk.others("abc")
    assert not desk.may_write
    desk.pong()
    assert not desk.may_write, "the mark behind it is still out"
    desk.pong()
    assert desk.may_write


def test_so_its_first_change_is_placed_exactly_before_and_behind_a_receive() -> None:
    """Though the other view would make the smaller edit."""
    for pongs, typed, delta in ((0, "abcx", Delta.of(3, "x")), (2, "abcdefx", Delta.of(6, "x"))):
        desk = Desk("abcdef" if not pongs else "abc")
        desk.others("abc" if not pongs else "abcdef")
        desk.write()
        desk.pong(pongs)
        outcome = desk.change(typed)
        assert (outcome.delta.to_splices()[0].insert, outcome.guessed) == ("x", False), pongs
        assert outcome.delta == delta


def test_typing_wears_off() -> None:
    desk = _typing("ab")
    for text in ("abc", "abcd"):
        desk.others(text)
        assert desk.may_write
        desk.write()
    desk.now += TYPING_WINDOW
    assert not desk.may_write


def test_a_change_before_the_mark_is_of_the_view_before_the_receive() -> None:
    """Though the receive's text would make the smaller edit."""
    desk = _typing("abcdef")
    desk.others("abc")
    desk.write()
    outcome = desk.change("abcx")
    assert not outcome.guessed
    assert outcome.delta == Delta.of(3, "x")
    assert desk.text == "abcx"
    assert desk.views.final_text == "abc", "the receive will overwrite what was typed"
    assert outcome.needs_receive


def test_a_change_behind_the_mark_is_of_the_receive() -> None:
    """Though the view before would make the smaller edit."""
    desk = _typing("abc")
    desk.others("abcdef")
    desk.write()
    desk.pong(2)
    outcome = desk.change("abcx")
    assert not outcome.guessed
    assert desk.text == "abcx"
    assert not outcome.needs_receive


def test_between_the_two_pongs_the_received_text_is_an_echo() -> None:
    desk = _typing("abc")
    desk.others("aXc")
    desk.write()
    desk.pong()
    outcome = desk.change("aXc")
    assert outcome.echo
    assert outcome.delta.is_identity
    assert not outcome.needs_receive
    desk.pong()
    assert desk.change("aXcd").delta == Delta.of(3, "d")


def test_between_the_two_pongs_the_smaller_edit_decides() -> None:
    for typed, merged in (("xabc", "xabcZ"), ("abcZx", "abcZx")):
        desk = _typing("abc")
        desk.others("abcZ")
        desk.write()
        desk.pong()
        outcome = desk.change(typed)
        assert outcome.guessed
        assert desk.text == merged


def test_who_takes_back_a_letter_as_a_receive_arrives_takes_back_its_own() -> None:
    """The edits of both views are of one letter; nobody can have seen the other's yet."""
    desk = _typing("x")
    desk.others("y")
    desk.write()
    desk.pong()
    outcome = desk.change("")
    assert outcome.guessed
    assert desk.text == "y"


def test_a_doubtful_choice_is_mended_by_a_receive() -> None:
    """Was it the other's letter that was taken back, the screen is empty, and the text is not."""
    desk = _typing("x")
    desk.others("y")
    desk.write()
    desk.pong()
    assert desk.change("").needs_receive
    assert desk.views.final_text is None
    desk.pong()
    desk.write()
    assert desk.views.final_text == "y"
    desk.pong(2)
    assert not desk.change("yz").guessed
    assert desk.text == "yz"


def test_an_unclear_choice_is_forgotten_once_a_later_receive_is_confirmed() -> None:
    desk = _typing("x")
    desk.others("y")
    desk.write()
    desk.pong()
    desk.change("")
    desk.pong()
    desk.others("later")
    desk.write()
    desk.pong(2)
    assert desk.views.final_text == "later"
    assert not desk.change("later!").guessed


def test_heartbeats_are_marks_too() -> None:
    desk = _typing("ab")
    desk.views.ping()
    desk.others("abZ")
    desk.write()
    desk.pong()
    assert not desk.change("xab").guessed, "the heartbeat alone is back"
    assert desk.text == "xabZ"
    desk.pong(2)
    assert not desk.change("abZy").guessed


def test_a_pong_to_no_ping_is_ignored() -> None:
    desk = _typing("ab")
    desk.pong(3)
    desk.others("abZ")
    desk.write()
    desk.pong(2)
    assert not desk.change("abZ!").guessed


def test_the_base_is_of_the_arrival_not_of_the_handling() -> None:
    desk = _typing("abc")
    desk.others("aZbc")
    desk.write()
    first, second = desk.arrives("abcd"), desk.arrives("abcde")
    desk.pong(2)
    third = desk.arrives("aZbc!")
    assert first().delta == Delta.of(4, "d")
    assert second().delta == Delta.of(5, "e")
    assert third().delta == Delta.of(6, "!")  # behind the letters that the receive hid
    assert desk.text == "aZbcde!"


def test_a_refused_change_lets_go_of_its_stamp() -> None:
    desk = _typing("ab")
    desk.others("abZ")
    desk.write()
    stamp = desk.views.stamp()
    desk.pong(2)
    desk.views.discard(stamp)
    desk.views.check(desk.text)
    assert not desk.change("abZ!").guessed


def test_two_changes_in_a_row_build_on_each_other() -> None:
    desk = _typing("ab")
    desk.others("Zab")
    assert [desk.change(text).delta for text in ("abc", "abcd", "abd")] == [
        Delta.of(3, "c"),
        Delta.of(4, "d"),
        Delta.of(3, -1),
    ]
    assert desk.text == "Zabd"


def test_foreign_text_inside_a_deletion_survives_it() -> None:
    desk = _typing("one two three")
    desk.others("one twNEWo three")
    desk.change("one three")
    assert "NEW" in desk.text
    assert desk.text.replace("NEW", "") == "one three"


def test_unconfirmed_views_are_bounded_and_a_pong_frees_them() -> None:
    desk = _typing("x")
    for count in range(MAX_UNCONFIRMED_VIEWS):
        assert desk.may_write
        desk.others("x" * (count + 2))
        desk.write()
    assert not desk.may_write
    desk.pong(2)
    assert desk.may_write


def test_two_cursors_that_meet_two_cursors_double_nothing() -> None:
    desk = _typing("<middle>")
    desk.others("A<middle>B")
    desk.change("C<middle>D")
    assert sorted(desk.text) == sorted("ABCD<middle>")


def test_a_returning_member_finds_the_view_it_left() -> None:
    desk = _typing("hello world")
    desk.others("hello brave world")
    desk.write()
    parked = desk.views.park()
    parked.advance(Delta.of(0, "NEW "))
    view = comeback("hello world!", parked.views())
    assert view is not None
    assert view.text == "hello world"
    views = Views(view)
    outcome = views.change(views.stamp(), "hello world!", 1.0)
    assert outcome.delta.apply("NEW hello brave world") == "NEW hello brave world!"
    assert outcome.needs_receive


def test_a_fresh_connection_takes_the_nearest_of_the_rooms_recent_texts() -> None:
    now = "start\nline 1\nline 2\nline 3"
    texts = [now, now[:-7], now[:-14], "start"]
    views = [View(text, Delta.from_splices(diff(text, now))) for text in texts]
    assert comeback(texts[1] + "?", views) == views[1]
    assert comeback("anything", []) is None


@pytest.mark.parametrize("size", [0, 5])
def test_a_member_that_shows_nothing_may_type_before_its_first_receive(size: int) -> None:
    text = "x" * size
    views = Views(View("", Delta.of(text)))
    outcome = views.change(views.stamp(), "new", 0.0)
    assert outcome.delta.apply(text) == text + "new"
    assert outcome.needs_receive is bool(size)


def test_a_letter_typed_behind_one_that_a_stale_receive_hid_lands_behind_it() -> None:
    desk = _typing("")
    desk.others("z")
    desk.write()  # on its way while the member types
    desk.change("A")
    desk.pong(2)  # it arrives, and hides the A
    desk.change("zB")
    assert desk.text.index("A") < desk.text.index("B")
