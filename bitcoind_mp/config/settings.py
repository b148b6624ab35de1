"""Which of several settings of one name wins: Core's order of sources, and its exceptions.

Command line, then settings.json, then the network's section of bitcoin.conf, then its default section. On the
command line the last value counts, in a file the first. Source: Core's ``src/common/settings.cpp``, with the
behaviours that it keeps for the sake of old configuration files.

A value is text, or False where the option was negated (True for ``-noname=0``).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND_LINE = "command line"
DYNAMIC = "settings.json"
SECTION = "network section"
DEFAULT_SECTION = "default section"


class Span:
    """The values one source gave for a name; those before the last negation don't count."""

    __slots__ = ("all", "effective", "last_negated", "negated")

    def __init__(self, values: "list[str | bool]") -> None:
        self.all = values
        self.negated = max((index + 1 for index, value in enumerate(values) if value is False), default=0)
        self.last_negated = bool(values) and values[-1] is False
        self.effective = values[self.negated :]


class Settings:
    """Every value given, by source. ``files`` is by section (``""`` the default one) and name."""

    def __init__(self) -> None:
        self.command_line: dict[str, list[str | bool]] = {}
        self.files: dict[str, dict[str, list[str | bool]]] = {}

    def sources(
        self, name: str, section: str, dynamic: "list[str | bool] | None" = None
    ) -> "Iterator[tuple[str, Span]]":
        """The sources that give ``name``, strongest first. ``dynamic``: what settings.json does, for who reads it."""
        if name in self.command_line:
            yield COMMAND_LINE, Span(self.command_line[name])
        if dynamic:
            yield DYNAMIC, Span(dynamic)
        if section and name in self.files.get(section, {}):
            yield SECTION, Span(self.files[section][name])
        if name in self.files.get("", {}):
            yield DEFAULT_SECTION, Span(self.files[""][name])

    def one(
        self, name: str, section: str, *, ignore_default_section: bool = False, selects_chain: bool = False
    ) -> "str | bool | None":
        """The value of an option that has one; None where nothing gives it (Core's GetSetting)."""
        for source, span in self.sources(name, section):
            in_file = source in (SECTION, DEFAULT_SECTION)
            # A negation in the default section holds even for an option that is otherwise ignored there.
            if ignore_default_section and source == DEFAULT_SECTION and not span.last_negated:
                continue
            # Of the options that choose the network, a negated one on the command line is as good as absent.
            if selects_chain and span.last_negated:
                continue
            if span.effective:
                return span.effective[0] if in_file and not selects_chain else span.effective[-1]
            if span.last_negated:
                return False
        return None

    def many(
        self,
        name: str,
        section: str,
        *,
        ignore_default_section: bool = False,
        dynamic: "list[str | bool] | None" = None,
    ) -> "list[str | bool]":
        """All the values of an option that may have several, in order (Core's GetSettingsList)."""
        result: list[str | bool] = []
        complete = False
        emptied = False
        for source, span in self.sources(name, section, dynamic):
            if ignore_default_section and source == DEFAULT_SECTION:
                continue
            # What a file says comes back where a negation on the command line is followed by another value.
            revived = source in (SECTION, DEFAULT_SECTION) and not emptied
            if not complete or revived:
                result.extend(span.effective)
            complete = complete or span.negated > 0
            emptied = emptied or (span.last_negated and not result)
        return result

    def only_in_default_section(self, name: str, section: str) -> bool:
        """Whether a value stands in the default section and nowhere that counts outside main."""
        given = [source for source, span in self.sources(name, section) if span.effective]
        return given == [DEFAULT_SECTION]
