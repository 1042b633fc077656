"""The roles that text on the screen plays, and the only place where a role has a colour."""

# Styles as Rich reads them. The sixteen ANSI colours follow the terminal's own palette, light or dark.
NAME = "bold"
DTYPE = "cyan"
SHAPE = "magenta"
DEVICE = "bright_blue"
TYPE = "cyan"  # of what is no tensor
FAINT = "dim"  # memory, times, what is said by the way
FLAG = "yellow"  # what is unusual about a value
TITLE = "bold"  # a table's head
BAR = "bright_blue"  # bars and sparklines
ERROR = "bold red"
SPAN = "bold red"
ADVICE = "green"
CHANGED = "bold underline"  # what is new in a line of advice
WARNING = "yellow"
PLAIN = ""

# Of a heatmap from its least value to its greatest, as red, green and blue: viridis, which keeps its order in greys.
HEAT = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
SHADES = ".:-=+*#%@"  # the same where there are no colours
