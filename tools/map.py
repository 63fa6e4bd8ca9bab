"""Write docs/map.md: every folder and file of the package with the first sentence of its docstring.

``python tools/map.py`` writes, ``--check`` compares (a test does that).
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "tpcfm"
ROOMS = {
    "": "Shared by all rooms",
    "cli": "The command line: one file per verb, found by itself; heavy imports inside the verbs",
    "config": "Strict configuration blocks",
    "detectors": "A detector as one object, made from one YAML file: geometry, signal, labels, colours, how its files are read",
    "plan": "The configuration as a run table: the one place that names datasets, caches, runs and studies",
    "readers": "Raw files as blocks of checked events",
    "release": "The public releases: listing, ranges, checksums",
    "events": "Event tables: schema, writer, splits, statistics, validation",
    "simulate": "Simulations that write the published raw formats",
    "prepare": "Event tables to memory-mapped caches of tokens or sequences",
    "nn": "Building blocks of the networks; know nothing of files",
    "models": "Networks, made of building blocks",
    "losses": "Losses",
    "train": "The trainer; knows no particular model",
    "tracking": "Track finding without learning: the reference of the networks",
    "evaluate": "Metrics on arrays, probes, intervals, the metrics table",
    "scaling": "Costs by formula, power-law fits",
    "tasks": "What training on labels has in common, whatever the system",
    "systems": "Model families: settings, plan, jobs, pictures, released weights; where all rooms meet",
    "inference": "Trained models on any file",
    "report": "Figures, tables, event displays, the page",
}
HEAD = """# Map of the code

Data flows one way, and the folders of `src/tpcfm` are its stops:

```
raw files -readers-> events (Parquet) -prepare-> caches (Arrow) -systems (models, losses, train)-> model directories -inference-> predictions
   ^                                                                                                    |
simulate (the same raw formats)                                          report <- metrics <- evaluate -+
```

All that stands above `nn` in the lists below imports no torch; `nn`, `models` and `losses` know nothing of files, MLflow or Snakemake;
`train` knows no particular model; a system is where they meet. The workflow (`Snakefile`, `workflow/rules/`) knows only the plan
(`tpcfm.plan`) and the command line. What one part may rely on in another: [contracts](reference/contracts.md).

Outside the package: `config.yaml` (the demo) and `workflow/scales/`, `workflow/overlays/` (laid over it) hold every scientific choice;
`profiles/` says where jobs run;
`envs/` holds the locks (`tools/lock.py` writes them); `containers/` the images; `benchmarks/` ratios of speed and memory; `tests/` mirrors the package;
`results/` is written by the workflow.

The lists below are written by `tools/map.py` from the files themselves.
"""


def sentence(path: Path) -> str:
    """First sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def build() -> str:
    """Return the text of the map."""
    parts = [HEAD]
    for room, title in ROOMS.items():
        folder = PACKAGE / room
        files = sorted(folder.glob("*.py") if room == "" else folder.rglob("*.py"))
        rows = [(p.relative_to(folder), sentence(p)) for p in files if p.name != "__init__.py" or p.parent != folder]
        listed = [f"- `{name}`: {text}" for name, text in rows if text]
        parts.append(f"## {room or 'tpcfm'}\n\n{title}.\n\n" + "\n".join(listed) + "\n")
    return "\n".join(parts)


def main() -> int:
    """Write or compare."""
    target = ROOT / "docs" / "map.md"
    known = {p.name for p in PACKAGE.iterdir() if p.is_dir() and not p.name.startswith("__")}
    if known - set(ROOMS):
        print(f"rooms without a title in tools/map.py: {', '.join(sorted(known - set(ROOMS)))}", file=sys.stderr)
        return 1
    if "--check" in sys.argv:
        if target.read_text(encoding="utf-8") != build():
            print("docs/map.md is not what the files say: run `python tools/map.py`", file=sys.stderr)
            return 1
        return 0
    target.write_text(build(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
