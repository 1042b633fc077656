"""The roles that text on the screen plays, and the only place where a role has a colour."""

from tensorcli.config import Background

NAME = "name"
DTYPE = "dtype"
SHAPE = "shape"
DEVICE = "device"
TYPE = "type"  # of what is no tensor
FAINT = "faint"  # memory, times, what is said by the way
FLAG = "flag"  # what is unusual about a value
TITLE = "title"  # a table's head
BAR = "bar"  # bars and sparklines
ERROR = "error"
SPAN = "span"
ADVICE = "advice"
CHANGED = "changed"  # what is new in a line of advice
WARNING = "warning"
PLAIN = ""

# Styles as Rich reads them, by the terminal's background. On a dark one the sixteen ANSI colours follow the terminal's
# own palette. On a light one several of those cannot be read in the palettes that terminals come with.
STYLES: dict[Background, dict[str, str]] = {
    "dark": {
        NAME: "bold",
        DTYPE: "cyan",
        SHAPE: "magenta",
        DEVICE: "bright_blue",
        TYPE: "cyan",
        FAINT: "dim",
        FLAG: "yellow",
        TITLE: "bold",
        BAR: "bright_blue",
        ERROR: "bold red",
        SPAN: "bold red",
        ADVICE: "green",
        CHANGED: "bold underline",
        WARNING: "yellow",
    },
    "light": {
        NAME: "bold",
        DTYPE: "#00626e",
        SHAPE: "#86207a",
        DEVICE: "#1d4fb8",
        TYPE: "#00626e",
        FAINT: "#5f5f5f",
        FLAG: "#845300",
        TITLE: "bold",
        BAR: "#1d4fb8",
        ERROR: "bold #b00020",
        SPAN: "bold #b00020",
        ADVICE: "#1c661c",
        CHANGED: "bold underline",
        WARNING: "#845300",
    },
}

# Styles as prompt_toolkit reads them, of what is typed and what stands around it.
_MENU = {
    "completion-menu": "bg:#c6c6c6 #000000",
    "completion-menu.completion.current": "fg:#005f87 bg:#ffffff reverse",  # reverse, so that it shows without colours
    "completion-menu.meta.completion": "bg:#b2b2b2 #000000",
    "completion-menu.meta.completion.current": "fg:#005f87 bg:#ffffff reverse",
    "matching-bracket.cursor": "bold bg:#005f87 #ffffff",
    "matching-bracket.other": "bold bg:#005f87 #ffffff",
}
PROMPT: dict[Background, dict[str, str]] = {
    "dark": _MENU
    | {
        "pygments.keyword": "#87afff",
        "pygments.operator.word": "#87afff",
        "pygments.keyword.constant": "#d7af5f",
        "pygments.literal.number": "#d7af5f",
        "pygments.literal.string": "#87d787",
        "pygments.literal.string.interpol": "#d7af5f",
        "pygments.name.builtin": "#5fd7d7",
        "pygments.name.function": "#5fd7d7",
        "pygments.name.class": "#5fd7d7",
        "pygments.name.decorator": "#d787d7",
        "pygments.comment": "#949494",
        "auto-suggestion": "#949494",
    },
    "light": _MENU
    | {
        "pygments.keyword": "#1d4fb8",
        "pygments.operator.word": "#1d4fb8",
        "pygments.keyword.constant": "#845300",
        "pygments.literal.number": "#845300",
        "pygments.literal.string": "#1c661c",
        "pygments.literal.string.interpol": "#845300",
        "pygments.name.builtin": "#00626e",
        "pygments.name.function": "#00626e",
        "pygments.name.class": "#00626e",
        "pygments.name.decorator": "#86207a",
        "pygments.comment": "#5f5f5f",
        "auto-suggestion": "#5f5f5f",
    },
}

# Of a heatmap from its least value to its greatest, as red, green and blue: viridis, which keeps its order in greys.
HEAT = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
SHADES = ".:-=+*#%@"  # the same where there are no colours
