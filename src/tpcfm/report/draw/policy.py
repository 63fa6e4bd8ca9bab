"""What a page may do: run the scripts that this package put there, and nothing else; load nothing, send nothing.

Names of files, events, runs and classes come from users and from files of others. They are escaped where they are written; this is
the second lock.
"""

import base64
import hashlib
import re
from collections.abc import Iterable

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_REST = "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"


def policy(scripts: Iterable[str]) -> str:
    """Return a content policy (CSP) that allows some scripts alone, each by the SHA-256 of its text."""
    held = [base64.b64encode(hashlib.sha256(_as_read(text).encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{one}'" for one in held) or "'none'"
    return f"default-src 'none'; script-src {allowed}; {_REST}"


def with_policy(page: str) -> str:
    """Return a page of plotly (whose data are escaped inside its scripts) under a policy that allows the scripts it has now."""
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy(_SCRIPT.findall(page))}">'
    return page.replace('<meta charset="utf-8" />', f'<meta charset="utf-8" />\n    {meta}', 1)


def _as_read(text: str) -> str:
    """A browser takes every end of line for one character before it looks at scripts."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
