"""Connects the warehouse of a 9610 return site with the customs information system.

::

    sources ──> mapping ──> messages ──> signing ──> outbox ──> transport ──> receipts
       │           │            │           │           │           │            │
       └───────────┴────────────┴───────────┴── audit ──┴───────────┴────────────┘

    the enterprise's      one customs     XMLDSig      durable,     SOAP to      what customs
    rows, read only       document each                never        customs,     said, added up
                          or quarantine                doubled      one try      per document

Stages never import each other; they meet in ``pipeline``.
"""
