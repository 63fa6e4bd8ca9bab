"""A small local web server for the tests of fetch: byte ranges, connections that break, and refusals."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """What the server serves, and how badly.

    Attributes:
        files: path to content.
        break_after: bytes after which each connection is cut, or None.
        breaks: how many connections are still to be cut.
        ranges: whether byte ranges are honoured.
        failures: how many requests are still to be answered with ``failure``.
        failure: status of these answers.
        retry_after: their header of that name, or "".
        pages: path to the path of the next page.
        redirects: path to the path that has the content.
        busy: path to status and Retry-After of the answer to its first request.
        requests: path and Range header of each request.
        sent: bytes of content sent.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.break_after: int | None = None
        self.breaks = 0
        self.ranges = True
        self.failures = 0
        self.failure = 503
        self.retry_after = ""
        self.pages: dict[str, str] = {}
        self.redirects: dict[str, str] = {}
        self.busy: dict[str, tuple[int, str]] = {}
        self.requests: list[tuple[str, str]] = []
        self.sent = 0
        self.url = ""


@contextmanager
def serving() -> Iterator[Site]:
    """Serve a `Site` on a free local port."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            site.requests.append((self.path, asked))
            if site.failures:
                site.failures -= 1
                self.send_response(site.failure)
                if site.retry_after:
                    self.send_header("Retry-After", site.retry_after)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if self.path in site.busy:
                code, wait = site.busy.pop(self.path)
                self.send_response(code)
                self.send_header("Retry-After", wait)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if self.path in site.redirects:
                self.send_response(302)
                self.send_header("Location", site.redirects[self.path])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = site.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start, stop = 0, len(content)
            if asked and site.ranges:
                first, _, last = asked.removeprefix("bytes=").partition("-")
                start, stop = int(first), min(int(last) + 1 if last else len(content), len(content))
                if start >= len(content):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
            else:
                self.send_response(200)
            if self.path in site.pages:
                self.send_header("Link", f'<{site.url}{site.pages[self.path]}>; rel="next"')
            self.send_header("Content-Length", str(stop - start))
            self.end_headers()
            if site.breaks and site.break_after is not None and stop - start > site.break_after:
                site.breaks -= 1
                stop = start + site.break_after
                self.close_connection = True
            site.sent += stop - start  # before the write: the client may look as soon as it has the last byte
            self.wfile.write(content[start:stop])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
