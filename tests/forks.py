"""Processes that begin with the whole program loaded, forked from one server: loading it takes half a second.

Every test process has one server, and all forks of all tests come from it::

    process = FORKS.Process(target=work, args=(1, 2))
"""

from __future__ import annotations

import importlib
import multiprocessing
import pkgutil

import connector

for _module in pkgutil.walk_packages(connector.__path__, "connector."):
    if not _module.name.endswith(("__main__", ".env")) and ".versions." not in _module.name:
        importlib.import_module(_module.name)

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])
