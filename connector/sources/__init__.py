"""Where facts come from: the enterprise's databases and files, read and never written.

A records file (``records_file``) says in TOML which query finds the facts and what its columns hold; a source reads
them page by page in the order they changed.

==================  ===========================================================================================
``interface``       `RecordSource`: what the flow needs of any source
``records_file``    the parsed and checked records file
``values``          what a driver hands over -> exact values of the declared types
``database``        read-only connections to SQLite, MySQL/MariaDB and PostgreSQL
``query``           one query of a records file: wrapped, its columns compared, its rows converted
``lookups``         rows of another table, perhaps in another database, for a page of records
``order``           the order that a collection is read in, and places in it
``sql``             `SqlSource`: pages, lookups and single records from a database
``rights``          whether the account of a source could write
``folder``          `DropFolder`: files of a folder, each taken once
``staging``         the SQLite file that they are taken into, and that is then read as any database
``files``           reading one file: CSV here, ``json_lines``, Excel ``workbooks``; ``rows`` is what they give
``inbox``           what was collected, in our own database
``quarantine``      what cannot be sent as it is, in our own database
==================  ===========================================================================================
"""
