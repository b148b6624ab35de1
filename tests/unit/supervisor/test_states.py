"""The table of moves is whole."""

from bitcoind_mp.supervisor.units.states import ALIVE, AT_REST, ENDING, SERVING, TRANSITIONS, WAITING, State


def test_every_state_has_moves_and_can_be_reached() -> None:
    assert set(TRANSITIONS) == set(State)
    assert {state for moves in TRANSITIONS.values() for state in moves} == set(State)


def test_groups_fit() -> None:
    assert SERVING | ENDING <= ALIVE
    assert not ALIVE & AT_REST
    assert set(State) - ALIVE - AT_REST == WAITING == {State.BACKOFF, State.HELD}


def test_from_everywhere_there_is_a_way_to_rest() -> None:
    for state in State:
        reached, edge = {state}, {state}
        while edge:
            edge = {move for each in edge for move in TRANSITIONS[each]} - reached
            reached |= edge
        assert State.STOPPED in reached
