"""Which view a change is an edit of, rule by rule."""

from collab.merge.delta import Delta
from collab.merge.diff import diff
from collab.merge.lateness import FRAMES, LATE, MIN_LATE, Habit
from collab.merge.trail import View
from collab.merge.views import HOLD, MAX_UNCONFIRMED_VIEWS, TYPING_WINDOW, VERY_LATE, Outcome, Views


class Desk:
    """One member and the text of the replica it is a member of; packets go by hand."""

    def __init__(self, text: str, shown: str | None = None, habit: Habit | None = None) -> None:
        self.text = text
        shown = text if shown is None else shown
        self.views = Views(View(shown, Delta.from_splices(diff(shown, text))), habit or Habit())
        self.now = 0.0

    def others(self, text: str) -> None:
        """Somebody else makes the replica's text ``text``."""
        self.views.advance(Delta.from_splices(diff(self.text, text)), self.now)
        self.text = text
        self.views.check(text)

    def receive(self) -> str | None:
        """Write the member what it is owed, if it may have it now."""
        return self.views.next_receive(self.text, self.now)

    def pong(self, times: int = 1) -> bool:
        """Let the member answer so many marks; return whether to try again to write."""
        again = [self.views.pong(self.now) for _ in range(times)]
        self.views.check(self.text)
        return any(again)

    def change(self, text: str, *, kept_since: float | None = None) -> Outcome:
        outcome = self.views.change(text, self.now, kept_since=kept_since)
        self.text = outcome.delta.apply(self.text)
        self.views.check(self.text)
        return outcome


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
    desk.others("ab")
    assert desk.receive() == "ab"
    desk.others("abc")
    assert desk.receive() is None
    assert desk.pong(), "the mark before it: nothing more may be written yet"
    assert desk.receive() is None
    assert desk.pong(), "try again"
    assert desk.receive() == "abc"
    assert not desk.pong(2), "nothing waits"


def test_so_its_first_change_is_placed_exactly_before_and_behind_a_receive() -> None:
    """Though the other view would make the smaller edit."""
    for pongs, typed, delta in ((0, "abcx", Delta.of(3, "x")), (2, "abcdefx", Delta.of(6, "x"))):
        desk = Desk("abcdef" if not pongs else "abc")
        desk.others("abc" if not pongs else "abcdef")
        assert desk.receive() is not None
        desk.pong(pongs)
        outcome = desk.change(typed)
        assert (outcome.delta.to_splices()[0].insert, outcome.guessed) == ("x", False), pongs
        assert outcome.delta == delta


def test_typing_wears_off() -> None:
    desk = _typing("ab")
    for text in ("abc", "abcd"):
        desk.others(text)
        assert desk.receive() is None or not desk.pong(2)  # it may be one that sends echoes
    desk.others("abcde")
    assert desk.receive() == "abcde"
    desk.others("abcdef")
    assert desk.receive() == "abcdef", "it types, and has sent nothing back: several at a time"
    desk.others("abcdefg")
    desk.now += TYPING_WINDOW
    assert desk.receive() is None


def test_a_change_before_the_mark_is_of_the_view_before_the_receive() -> None:
    """Though the receive's text would make the smaller edit."""
    desk = _typing("abcdef")
    desk.others("abc")
    assert desk.receive() is not None
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
    assert desk.receive() is not None
    desk.pong(2)
    desk.now += LATE
    outcome = desk.change("abcx")
    assert not outcome.guessed
    assert desk.text == "abcx"
    assert not outcome.needs_receive


def test_between_the_two_pongs_the_received_text_is_an_echo() -> None:
    desk = _typing("abc")
    desk.others("aXc")
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
        desk = _typing("abc")
        desk.others("abcZ")
        assert desk.receive() is not None
        desk.pong()
        outcome = desk.change(typed)
        assert outcome.guessed
        assert desk.text == merged


def test_who_takes_back_a_letter_as_a_receive_arrives_takes_back_its_own() -> None:
    """The edits of both views are of one letter; nobody can have seen the other's yet."""
    desk = _typing("x")
    desk.others("y")
    assert desk.receive() is not None
    desk.pong()
    outcome = desk.change("")
    assert outcome.guessed
    assert desk.text == "y"


def test_a_doubtful_choice_is_mended_by_a_receive() -> None:
    """Was it the other's letter that was taken back, the screen is empty, and the text is not."""
    desk = _typing("x")
    desk.others("y")
    assert desk.receive() is not None
    desk.pong()
    assert desk.change("").needs_receive
    assert desk.views.final_text is None
    desk.pong()
    assert desk.receive() is not None
    assert desk.views.final_text == "y"
    desk.pong(2)
    assert not desk.change("yz").guessed
    assert desk.text == "yz"


def test_an_unclear_choice_is_forgotten_once_a_later_receive_is_confirmed() -> None:
    desk = _typing("x")
    desk.others("y")
    assert desk.receive() is not None
    desk.pong()
    desk.change("")
    desk.pong()
    desk.others("later")
    assert desk.receive() is not None
    desk.pong(2)
    assert desk.views.final_text == "later"
    assert not desk.change("later!").guessed


def test_heartbeats_are_marks_too() -> None:
    desk = _typing("ab")
    desk.views.ping()
    desk.others("abZ")
    assert desk.receive() is not None
    desk.pong()
    assert not desk.change("xab").guessed, "the heartbeat alone is back"
    assert desk.text == "xabZ"
    desk.pong(2)
    assert not desk.change("abZy").guessed


def test_a_pong_to_no_ping_is_ignored() -> None:
    desk = _typing("ab")
    desk.pong(3)
    desk.others("abZ")
    assert desk.receive() is not None
    desk.pong(2)
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
    for text in ("xx", "xxx"):
        desk.others(text)
        assert desk.receive() == text
        desk.pong(2)
    for count in range(MAX_UNCONFIRMED_VIEWS):
        desk.others("x" * (count + 4))
        assert desk.receive() is not None
    desk.others("y")
    assert desk.receive() is None
    assert desk.pong(2)
    assert desk.receive() == "y"


def test_two_cursors_that_meet_two_cursors_double_nothing() -> None:
    desk = _typing("<middle>")
    desk.others("A<middle>B")
    desk.change("C<middle>D")
    assert sorted(desk.text) == sorted("ABCD<middle>")


def test_a_letter_typed_behind_one_that_a_stale_receive_hid_lands_behind_it() -> None:
    desk = _typing("")
    desk.others("z")
    assert desk.receive() is not None  # on its way while the member types
    desk.change("A")
    desk.pong(2)  # it arrives, and hides the A
    desk.change("zB")
    assert desk.text.index("A") < desk.text.index("B")


# Coming in


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
        desk = _typing("the room")
        desk.views.mount(desk.text, owed=True)
        assert desk.receive() == "the room", "it has to be told, whatever it is believed to show"
        desk.change(typed)
        assert desk.text == merged, typed
        desk.pong(2)
        assert desk.views.final_text == "the room"


def test_a_page_that_mounted_again_and_has_its_receive_shows_that_alone() -> None:
    desk = _typing("the room")
    desk.views.mount(desk.text, owed=True)
    assert desk.receive() == "the room"
    desk.pong(2)
    desk.now += VERY_LATE
    assert not desk.change("").guessed
    assert desk.text == "", "who deletes everything deletes everything"


def test_a_text_is_not_typed_on_an_empty_page_if_it_has_long_runs_of_another() -> None:
    """Even if the empty page would make the smaller edit."""
    desk = Desk("one two three four!", shown="")
    desk.views.offer(View("one two three four", Delta.of(18, "!")))
    desk.change("one t")
    assert desk.text == "one t!"


# Coming back


def test_a_returning_member_shows_one_of_the_texts_that_were_on_their_way_or_its_own() -> None:
    for typed, merged in (
        ("hello world!", "NEW hello brave world!"),
        ("hello brave world!", "NEW hello brave world!"),
    ):
        desk = _typing("hello world")
        desk.others("hello brave world")
        assert desk.receive() == "hello brave world"
        desk.views.returned()
        desk.others("NEW hello brave world")
        outcome = desk.change(typed)
        assert desk.text == merged
        assert outcome.needs_receive


def test_a_returning_member_may_have_mounted_again_unheard_and_show_nothing_else() -> None:
    """A link may be dead for long before either side knows, and all that was sent is lost."""
    desk = _typing("what the others have typed")
    desk.views.returned()
    desk.change("hi")
    assert desk.text == "what the others have typedhi"


def test_a_returning_member_that_has_typed_a_small_text_anew_is_not_taken_for_a_blank_page() -> (
    None
):
    desk = _typing("abc")
    desk.views.returned()
    desk.change("axy")
    assert desk.text == "axy"


def test_rare_letters_of_a_text_tell_a_returning_member_from_a_blank_page() -> None:
    """Who deletes most of a text and scatters letters over the rest leaves no long runs of it."""
    desk = _typing("abcdefghijklmnopqrstuvwxyz")
    desk.views.returned()
    desk.change("1a2h3p4x5")
    assert desk.text == "1a2h3p4x5"


def test_a_member_that_is_back_is_left_to_speak_first() -> None:
    """What it shows may hold a letter that its broken connection has lost."""
    desk = _typing("ab")
    desk.views.returned()
    assert desk.receive() is None, "what it kept comes before the answer to the first mark"
    desk.views.ping()
    assert desk.pong()
    assert desk.receive() is None
    assert desk.views.held_for(desk.now) == HOLD, "it was typing: a moment more"
    desk.now += HOLD
    assert desk.receive() == "ab"


def test_a_reader_that_is_back_gets_the_text_as_soon_as_it_has_answered() -> None:
    desk = Desk("ab")
    desk.views.returned()
    desk.views.ping()
    assert desk.pong(), "though nothing was due to be written before"
    assert desk.receive() == "ab"


def test_a_member_that_another_node_hands_over_keeps_all_that_it_may_be_showing() -> None:
    desk = _typing("hello world")
    desk.others("hello brave world")
    assert desk.receive() == "hello brave world"
    there = desk.views.views()
    onward = Delta.from_splices(diff("hello brave world", "NEW hello brave world"))
    views = Views.taken_over(there, onward, Habit(), known=True)
    assert views.is_known(0.0)
    assert not Views.taken_over(there, onward, Habit(), known=False).is_known(0.0)
    views.check("NEW hello brave world")
    assert [view.text for view in views.views()] == ["hello brave world", "hello world"]
    outcome = views.change("hello world!", 1.0)
    assert outcome.delta.apply("NEW hello brave world") == "NEW hello brave world!"


def test_a_view_from_before_its_connection_is_possible_until_a_page_is_known() -> None:
    desk = Desk("one two three", shown="")
    assert not desk.views.is_known(desk.now)
    desk.views.recall(View("one two", Delta.of(7, " three")), desk.now)
    desk.change("one two!")
    assert desk.text == "one two three!"
    assert desk.views.is_known(desk.now)


# Late pages


def _received(before: str, text: str, habit: Habit | None = None) -> Desk:
    """A member that has just confirmed a receive of ``text`` in place of ``before``."""
    desk = Desk(before, habit=habit)
    desk.others(text)
    assert desk.receive() == text
    desk.pong(2)
    return desk


def test_a_key_on_a_page_that_has_not_rendered_yet_takes_nothing_back() -> None:
    for before, text, typed, merged in (
        ("one two", "ONE one two", "one two!", "ONE one two!"),  # the two edits are far apart
        ("one two", "two", "one two!", "two!"),  # it would put back what was taken away
        ("one two", "one twoX", "one two!", "one twoX!"),  # at one place, a keystroke
    ):
        desk = _received(before, text)
        outcome = desk.change(typed)
        assert outcome.late, typed
        assert desk.text == merged


def test_after_a_moment_a_person_may_have_taken_back_what_came() -> None:
    desk = _received("one two", "one twoX")
    desk.now += LATE
    assert not desk.change("one two!").late
    assert desk.text == "one two!"


def test_after_some_time_a_person_may_have_put_back_what_was_taken() -> None:
    desk = _received("one two", "two")
    desk.now += VERY_LATE
    assert not desk.change("one two!").late
    assert desk.text == "one two!"


def test_a_deletion_counts_as_late_on_pages_that_are_known_to_be() -> None:
    """A backspace beside a letter that has just come may be meant for it."""
    habit = Habit()
    desk = _received("one two", "one twoX", habit)
    assert not desk.change("one tw").late
    for _ in range(MIN_LATE):
        habit.saw_late(FRAMES)
    desk = _received("one two", "one twoX", habit)
    assert desk.change("one tw").late
    assert desk.text == "one twX"


def test_sites_whose_pages_show_at_once_are_known_for_it() -> None:
    habit = Habit()
    for _ in range(MIN_LATE):
        habit.saw_late(FRAMES)
    assert habit.lateness == FRAMES
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


def test_a_page_of_a_very_slow_site_may_put_back_what_it_showed_before_its_last_change() -> None:
    """React applies an old state late, over what was typed since: Monaco is given that text."""
    for lateness, merged in ((LATE / 2, "! one two"), (LATE, "! one two, three")):
        habit = Habit()
        for _ in range(MIN_LATE):
            habit.saw_late(lateness)
        desk = Desk("one two", habit=habit)
        desk.change("one two, three")
        desk.now += LATE
        desk.change("! one two")
        assert desk.text == merged


# Changes that waited in the client


def _kept_back() -> Desk:
    """A member that has typed ``1``, ``2`` and ``3``, of which the node knows the first.

    Somebody else's ``Z`` arrived before the acknowledgement of that.
    """
    desk = _typing("a")
    desk.others("aZ")
    assert desk.receive() == "aZ"
    desk.change("1a")
    assert desk.text == "1aZ"
    desk.now += VERY_LATE / 2
    desk.pong(2)
    return desk


def test_a_change_that_waited_may_be_one_of_a_text_from_before_the_receive() -> None:
    desk = _kept_back()
    desk.change("12a", kept_since=0.0)
    assert desk.text == "12aZ"
    desk.change("123a", kept_since=0.0)
    assert desk.text == "123aZ", "of its own text, which the receive replaced on the page"
    assert desk.views.final_text is None, "it is sent the merged text whatever it shows"


def test_or_of_the_receive() -> None:
    desk = _kept_back()
    desk.change("aZ!", kept_since=0.0)
    assert desk.text == "1aZ!"
    desk.change("aZ!!", kept_since=0.0)
    assert desk.text == "1aZ!!"


def test_or_first_of_the_one_and_then_of_the_other() -> None:
    desk = _kept_back()
    desk.change("12a", kept_since=0.0)
    desk.change("aZ!", kept_since=0.0)
    assert desk.text == "12aZ!"


def test_a_member_whose_changes_may_wait_is_written_nothing_after_them() -> None:
    desk = _kept_back()
    desk.views.may_wait = True
    desk.change("12a", kept_since=0.0)
    desk.others("12aZY")
    assert desk.receive() is None
    assert desk.views.held_for(desk.now) == HOLD
    desk.now += HOLD
    assert desk.receive() == "12aZY"
    desk.change("123a", kept_since=0.0)
    desk.views.release()
    desk.pong(2)
    desk.others(desk.text + "X")
    assert desk.receive() == "123aZYX"
