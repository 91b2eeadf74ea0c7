"""Where tables go: to the terminal, and into a section of a document."""

from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.figures import COLUMNS, Table

MARK = "<!-- figures -->"


def show(table: Table) -> None:
    """Print a table."""
    console = Console(width=None if Console().is_terminal else 140)
    drawn = RichTable(title=table.title, title_justify="left", title_style="bold")
    for column in COLUMNS:
        drawn.add_column(column)
    for row in table.rows:
        colour = {None: None, True: "green", False: "red"}[row.met]
        drawn.add_row(*(cell.replace("**", "") for cell in row.cells), style=colour)
    if table.rows:
        console.print(drawn)
    else:
        console.print(table.title, style="bold")
    for note in table.notes:
        console.print(f"  {note}", markup=False)


def write_section(path: Path, text: str) -> None:
    """Put a text between the two marks of a document, or into a document of its own."""
    before = after = ""
    if path.exists():
        before, first, rest = path.read_text().partition(MARK)
        _, second, after = rest.partition(MARK)
        if not (first and second):
            raise SystemExit(f"{path} has no two lines {MARK}; nothing was written")
    path.write_text(f"{before}{MARK}\n{text}\n{MARK}{after or chr(10)}")
