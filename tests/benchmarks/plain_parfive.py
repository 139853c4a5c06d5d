"""
Owns the script of who has files to fetch and knows parfive.

`python plain_parfive.py LIST OUT SLOTS AUTHORITY FOLDER PATIENCE`; it goes by the list, the folder and the slots alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

from parfive import Downloader

source, _, slots, _, folder, _ = sys.argv[1:]
downloader = Downloader(max_conn=int(slots), progress=False, overwrite=True)
for url in Path(source).read_text().split():
    downloader.enqueue_file(url, path=folder, filename=url.rsplit("/", 1)[1])
downloader.download()
