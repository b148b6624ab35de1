"""Reading options: the command line and bitcoin.conf, as Core's ``src/common/args.cpp`` and ``config.cpp`` do.

What belongs here: from text to (name, value) pairs in `Settings`, refusing what is not an option. What doesn't:
which value wins (`settings`), and what a value means (`option`).
"""

from .option import CLI, PROGRAMS, BadValue, Option, whole_number
from .options import BY_NAME
from .settings import Settings, Span
from .texts import Texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BLANK = " \t\r\n"


class Refused(ValueError):
    """An option that can't be used; the text is one line that names it, ``hint`` what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def split_key(key: str) -> "tuple[str, str, bool]":
    """``section.noname`` as (section, name, negated) (Core's InterpretKey)."""
    section, dot, name = key.partition(".")
    if not dot:
        section, name = "", key
    if name.startswith("no"):
        # -node… is no negation of "de…": an option may itself start with these letters.
        return (section, name[2:], True) if name not in BY_NAME else (section, name, False)
    return section, name, False


def interpret(option: Option, value: "str | None", negated: bool, shown: str) -> "str | bool":
    """What is stored for one occurrence of an option (Core's InterpretValue), its value checked."""
    if negated:
        if not option.negatable:
            raise Refused(f"Negating of -{option.name} is meaningless and therefore forbidden")
        try:
            return bool(value) and whole_number(value or "") == 0
        except ValueError:
            raise Refused(f"Invalid value in {shown}: expected 0 or 1") from None
    if value is None and not option.elidable:
        raise Refused(f"Can not set -{option.name} with no value.", f"Please specify value with -{option.name}=value.")
    text = value or ""
    if not text and option.kind in ("text", "path"):
        return text
    try:
        option.read(option.split_unit(text)[1])
    except BadValue as bad:
        raise Refused(f"Invalid value in {shown}: {bad}") from None
    return text


def is_text(argument: str) -> bool:
    """Whether it was UTF-8: it is passed on in JSON, and written into logs."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_command_line(arguments: "list[str]", program: str, settings: Settings) -> "list[str]":
    """Read options up to the first argument that is none; returns that one and the rest. Raises `Refused`."""
    for position, argument in enumerate(arguments):
        if not argument.startswith("-") or argument == "-":
            return arguments[position:]
        key, equals, text = argument.partition("=")
        key = key[2:] if key.startswith("--") else key[1:]
        section, name, negated = split_key(key)
        option = BY_NAME.get(name)
        if option is None or section or not option.taken_by(program):
            raise unknown(f"Invalid parameter {argument}", f"{section}.{name}" if section else name, program)
        if not is_text(argument):
            raise Refused(f"Invalid value in {argument}: not UTF-8")
        value = interpret(option, text if equals else None, negated, argument)
        if option.where == "file" and value is not False:
            raise Refused(f"-{name} cannot be used from commandline; -{name}={text}")
        settings.command_line.setdefault(name, []).append(value)
    return []


def unknown(message: str, name: str, program: str) -> Refused:
    """The refusal of an option that this program doesn't take, with where it would be taken."""
    option = BY_NAME.get(name)
    if option is not None and not option.hidden:
        takers = [other for other in PROGRAMS if option.taken_by(other)]
        return Refused(f"{message}.", f"It is an option of {' and '.join(takers)}.")
    if is_of_core(name):
        return Refused(f"{message}.", "Bitcoin Core has this option, bitcoind_mp does not.")
    return Refused(f"{message}.", f'See "{program} -help" for the options there are.')


def is_of_core(name: str) -> bool:
    """Whether Bitcoin Core has an option of that name which we don't."""
    from .core_options import CORE_OPTIONS

    return name in CORE_OPTIONS


class ConfigFile:
    """What one bitcoin.conf says: ``sections`` are its headings (name, line), ``unknown`` what is not for a file to say
    (section, name, the setting as it stands there, line)."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.sections: list[tuple[str, int]] = []
        self.unknown: list[tuple[str, str, str, int]] = []

    def options(self, text: str) -> "Iterator[tuple[str, str, int]]":
        """(key with section, value, line) of each setting (Core's GetConfigOptions). Raises `Refused`."""
        prefix = ""
        for number, line in enumerate(text.split("\n"), 1):
            content = line.partition("#")[0].strip(_BLANK)
            if not content:
                continue
            if content[0] == "[" and content[-1] == "]":
                self.sections.append((content[1:-1], number))
                prefix = content[1:-1] + "."
                continue
            if content[0] == "-":
                raise self.refuse(
                    number, f"{content}, options in configuration file must be specified without leading -"
                )
            name, equals, value = content.partition("=")
            if not equals:
                hint = f", if you intended to specify a negated option, use {content}=1 instead"
                raise self.refuse(number, content + (hint if content.startswith("no") else ""))
            key = prefix + name.strip(_BLANK)
            if "." in key and len(prefix) <= key.rindex("."):
                self.sections.append((key[: key.rindex(".")], number))
            yield key, value.strip(_BLANK), number

    def refuse(self, line: int, what: str) -> Refused:
        return Refused(f"Error reading configuration file {self.path}: parse error on line {line}: {what}")


def read_config_file(path: str, text: str, program: str, settings: Settings) -> ConfigFile:
    """Put what the file says into ``settings``. An option of any of our programs may stand there: one file serves
    all. The front end minds no value that isn't for it, nor does bitcoin-cli. Raises `Refused`."""
    file = ConfigFile(path)
    for key, value, line in file.options(text):
        section, name, negated = split_key(key)
        option = BY_NAME.get(name)
        shown = f"{path} line {line}: {key}={value}"
        if name == "conf":
            raise Refused(
                f"Invalid configuration value in {shown}: conf cannot be set in the configuration file;",
                "use includeconf= if you want to include additional config files.",
            )
        if option is None or option.where == "command" or option.hidden:
            file.unknown.append((section, name, f"{key}={value}", line))
            continue
        try:
            stored = interpret(option, value, negated, shown)
        except Refused:
            if program == CLI and CLI not in option.programs:
                continue
            raise
        settings.files.setdefault(section, {}).setdefault(name, []).append(stored)
    return file


def refuse_unknown(files: "list[ConfigFile]", program: str, chain: str) -> None:
    """Refuse what no file may say, all of it at once; what stands in the section of another network has no effect on
    this one, and isn't looked at. Raises `Refused`."""
    found = [
        (file.path, name, setting, line)
        for file in files
        for section, name, setting, line in file.unknown
        if section in ("", chain)
    ]
    if len(found) == 1:
        path, name, setting, line = found[0]
        raise unknown(f"Invalid configuration value in {path} line {line}: {setting}", name, program)
    if found:
        # Without the values: what Bitcoin Core has may be a password.
        named = ", ".join(f"{path} line {line}: {setting.partition('=')[0]}" for path, _, setting, line in found)
        of_core = [name for name in dict.fromkeys(name for _, name, _, _ in found) if is_of_core(name)]
        hint = f"Bitcoin Core has {', '.join(of_core)}, bitcoind_mp does not. " if of_core else ""
        raise Refused(f"Invalid configuration values: {named}.", f"{hint}Remove these lines, or put a # before each.")


def read_files(
    path: str,
    program: str,
    settings: Settings,
    texts: Texts,
    resolve: "Callable[[str], str]",
    chain: "Callable[[], str]",
) -> "list[ConfigFile]":
    """The configuration file and those that its ``includeconf`` names, one level deep (ReadConfigFiles).

    ``resolve`` makes an included file's path absolute; ``chain`` tells the network chosen so far.
    """
    files = [read_config_file(path, _text(texts, path, path, f'Configuration file "{path}"'), program, settings)]
    if "includeconf" in settings.command_line:  # can only be -noincludeconf
        return files
    names = [
        name
        for section in (chain(), "")
        for name in Span(settings.files.get(section, {}).get("includeconf", [])).effective
        if isinstance(name, str)
    ]
    for name in names:
        text = _text(texts, name, resolve(name), f"Included configuration file {name}")
        files.append(read_config_file(name, text, program, settings))
    return files


def _text(texts: Texts, name: str, path: str, what: str) -> str:
    try:
        text = texts.read(name, path)
    except IsADirectoryError:
        raise Refused(f"{what} is a directory.") from None
    except UnicodeDecodeError:
        raise Refused(f"{what} is not UTF-8 text.") from None
    except OSError as error:
        raise Refused(f"{what} could not be opened: {error.strerror}.") from None
    if "\0" in text:
        raise Refused(f"{what} is not text: it has a null character.")
    return text
