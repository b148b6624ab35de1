"""The shell's colours: few, and the terminal's own sixteen, so that they suit whatever theme it has."""

from prompt_toolkit.styles import Style

STYLE = Style.from_dict(
    {
        "json.key": "ansicyan",
        "json.string": "ansigreen",
        "json.number": "ansiyellow",
        "json.literal": "ansimagenta",
        "json.punctuation": "",
        "error": "ansired",
        "note": "ansibrightblack",
        "heading": "bold",
        "prompt.chain": "ansicyan",
        "prompt.wallet": "ansimagenta",
        "prompt.sign": "ansibrightblack",
        "line.command": "bold",
        "line.unknown": "",
        "line.option": "ansibrightblack",
        "bottom-toolbar": "noreverse",
        "bottom-toolbar.text": "noreverse",
        "toolbar.chain": "bold ansicyan",
        "toolbar.separator": "ansibrightblack",
        "toolbar.good": "ansigreen",
        "toolbar.busy": "ansiyellow",
        "toolbar.bad": "ansired",
        "toolbar.off": "ansibrightblack",
        "auto-suggestion": "ansibrightblack",
        "completion-menu": "noreverse",
        "completion-menu.completion": "bg:default",
        "completion-menu.completion.current": "bold reverse",
        "completion-menu.meta.completion": "bg:default ansibrightblack",
        "completion-menu.meta.completion.current": "bg:default ansibrightblack",
        "scrollbar.background": "bg:default",
        "scrollbar.button": "bg:ansibrightblack",
    }
)
