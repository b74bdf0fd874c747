"""Declarative rules that turn a business fact of the enterprise into what a customs document says.

==============  =========================================================================================
``outcomes``    `Mapped`, `Unmappable` and the faults of one record
``files``       the form of a mapping file: one line per element, a closed set of converters
``converters``  what the converters do to one value: text, codes, exact numbers, times
``checks``      a mapping file held against its message type and the records it reads
``compiler``    one line of a file -> one function, made once when the mapping is loaded
``engine``      `DocumentMapping`: applies the functions to a record
``loader``      `load_mappings`: a folder of files -> mappings, or every fault of every file at once
==============  =========================================================================================

Pure: no database, no network, no clock. Lookups are handed in.
"""
