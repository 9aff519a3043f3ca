"""Text that commands write between two markers of a Markdown file."""

import re
from pathlib import Path

from cct.errors import CCTError

END = "<!-- end -->"


def fill_markers(path: Path, contents: dict[str, str]) -> str:
    """The text of a Markdown file with new content between its markers.

    Args:
        path: the file. Content stands between the lines `<!-- NAME: made by COMMAND -->` and `<!-- end -->`.
        contents: new content by the NAME of its marker.

    Raises:
        CCTError: the file does not have both markers of a content once and in order.
    """
    text = path.read_text(encoding="utf-8")
    for name, content in contents.items():
        begins = re.findall(rf"^<!-- {re.escape(name)}: made by .* -->\n", text, flags=re.MULTILINE)
        before, begin, rest = text.partition(begins[0]) if len(begins) == 1 else (text, "", "")
        between, end, after = rest.partition(END)
        if not end or re.search(r"^<!-- .*: made by ", between, re.MULTILINE):
            raise CCTError(f"{path} must have the lines <!-- {name}: made by ... --> and {END} once, in this order")
        text = f"{before}{begin}\n{content}\n\n{end}{after}"
    return text
