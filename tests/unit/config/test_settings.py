"""Which source wins, with Core's exceptions (``src/common/settings.cpp``)."""

from bitcoind_mp.config.settings import Settings


def given(
    *,
    command: list[str | bool] | None = None,
    section: list[str | bool] | None = None,
    default: list[str | bool] | None = None,
) -> Settings:
    settings = Settings()
    if command is not None:
        settings.command_line["x"] = command
    if section is not None:
        settings.files["regtest"] = {"x": section}
    if default is not None:
        settings.files[""] = {"x": default}
    return settings


def test_sources_in_order_of_strength() -> None:
    everything = given(command=["c"], section=["s"], default=["f"])
    assert everything.one("x", "regtest") == "c"
    assert everything.many("x", "regtest", dynamic=["d"]) == ["c", "d", "s", "f"]
    assert given(section=["s"], default=["f"]).one("x", "regtest") == "s"
    assert given(section=["s"], default=["f"]).one("x", "signet") == "f"
    assert given().one("x", "regtest") is None


def test_the_last_on_the_command_line_and_the_first_in_a_file_counts() -> None:
    assert given(command=["1", "2"]).one("x", "regtest") == "2"
    assert given(section=["1", "2"]).one("x", "regtest") == "1"
    assert given(default=["1", "2"]).one("x", "regtest", selects_chain=True) == "2"


def test_a_negation_hides_what_came_before_it_and_weaker_sources() -> None:
    assert given(command=["1", False], default=["f"]).one("x", "regtest") is False
    assert given(command=["1", False, "2"]).one("x", "regtest") == "2"
    assert given(section=["1", False, "2", "3"]).one("x", "regtest") == "2"


def test_a_network_only_option_ignores_the_default_section_but_not_its_negation() -> None:
    assert given(default=["f"]).one("x", "regtest", ignore_default_section=True) is None
    assert given(default=["f", False]).one("x", "regtest", ignore_default_section=True) is False
    assert given(default=["f"]).many("x", "regtest", ignore_default_section=True) == []


def test_a_negated_choice_of_network_on_the_command_line_is_as_good_as_absent() -> None:
    assert given(command=[False], default=["1"]).one("x", "", selects_chain=True) == "1"


def test_a_list_collects_from_every_source() -> None:
    assert given(command=["c"], section=["s"], default=["f", "g"]).many("x", "regtest") == ["c", "s", "f", "g"]


def test_a_negation_empties_the_list_below_it_unless_followed_by_a_value() -> None:
    assert given(command=["c", False], section=["s"]).many("x", "regtest") == []
    # Core's "zombie" values: a value after the negation brings the file's back, not the earlier ones'.
    assert given(command=["c", False, "d"], section=["s"]).many("x", "regtest") == ["d", "s"]
    assert given(section=["s", False, "t"], default=["f"]).many("x", "regtest") == ["t", "f"]


def test_what_stands_only_in_the_default_section_is_told() -> None:
    assert given(default=["f"]).only_in_default_section("x", "regtest")
    assert not given(default=["f"], command=["c"]).only_in_default_section("x", "regtest")
    assert not given().only_in_default_section("x", "regtest")
