"""
Owns the script that pycurl's own example is (`retriever-multi.py`): a few handles, one multi, one line of JSON a URL.

`python plain_pycurl.py LIST OUT SLOTS AUTHORITY FOLDER PATIENCE`, empty words for what there is none of.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections import deque
from pathlib import Path
from typing import Any, TextIO

import pycurl


def begin(multi: Any, handle: Any, url: str, folder: str) -> None:
    """One URL, into memory or its file."""
    handle.body = (Path(folder) / url.rsplit("/", 1)[1]).open("wb") if folder else io.BytesIO()
    handle.url = url
    handle.setopt(pycurl.URL, url)
    handle.setopt(pycurl.WRITEDATA, handle.body)
    multi.add_handle(handle)


def end(multi: Any, handle: Any, out: TextIO | None, error: str | None) -> None:
    """Its line, or its file's end."""
    multi.remove_handle(handle)
    if out is not None:
        body = handle.body.getvalue()
        record = {
            "url": handle.url,
            "status": handle.getinfo(pycurl.RESPONSE_CODE) if error is None else None,
            "bytes": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "body": body.decode(),
            "error": error,
        }
        out.write(json.dumps(record) + "\n")
    handle.body.close()


def run(urls: deque[str], handles: list[Any], out: TextIO | None, folder: str) -> None:
    """All of them."""
    multi = pycurl.CurlMulti()
    free = list(handles)
    left = len(urls)
    while left:
        while urls and free:
            begin(multi, free.pop(), urls.popleft(), folder)
        while multi.perform()[0] == pycurl.E_CALL_MULTI_PERFORM:
            pass
        while True:
            queued, succeeded, failed = multi.info_read()
            ended = [(handle, None) for handle in succeeded] + [(handle, text) for handle, _, text in failed]
            for handle, error in ended:
                end(multi, handle, out, error)
                free.append(handle)
            left -= len(ended)
            if not queued:
                break
        if left and not (urls and free):
            multi.select(1.0)


def main(source: str, target: str, slots: str, authority: str, folder: str, patience: str) -> None:
    """The list."""
    handles = []
    for _ in range(int(slots)):
        handle = pycurl.Curl()
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.ACCEPT_ENCODING, "")
        handle.setopt(pycurl.TIMEOUT, int(patience or 0))
        if authority:
            handle.setopt(pycurl.CAINFO, authority)
        handles.append(handle)
    urls = deque(Path(source).read_text().split())
    if folder:
        run(urls, handles, None, folder)
        return
    with Path(target).open("w") as out:
        run(urls, handles, out, folder)


main(*sys.argv[1:])
