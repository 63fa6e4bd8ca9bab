"""Write docs/reference/fidelity.md from the table in the package: python tools/fidelity.py"""

from pathlib import Path

from tpcfm.report.published.fidelity.table import markdown

PAGE = Path(__file__).parents[1] / "docs/reference/fidelity.md"

if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
