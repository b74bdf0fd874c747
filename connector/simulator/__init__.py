"""The simulated customs office: takes messages in as the E-Port does, judges them and answers with receipts.

::

    server ──> soap ──> office ──> door          envelope, sender, signature, schema
                          │  └───> declarations  what the message declares
                          │  └───> rules         what customs thinks of each document
                          │  └───> stages        which receipts follow, and when
                          └─────── tables        its own SQLite file; ledger reads it
    server ──> mishaps ─> plan ──> faults        what goes wrong on purpose; admin changes it

It shares no code with the side it judges except the nouns, the codecs of ``messages`` and the verifier of ``signing``:
SOAP is read and written here once more, so that a mistake in our WSDL or client shows.
"""
