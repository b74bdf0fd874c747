"""The command line, one file per command; ``app`` puts them together, ``context`` and ``output`` are shared by all.

Results go to standard output, everything else to standard error. With ``--json`` a command prints one object with
``schema_version``.
"""
